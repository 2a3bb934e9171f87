package ticksmith.peers;

import org.apache.spark.api.java.function.FlatMapGroupsWithStateFunction;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.GroupStateTimeout;
import org.apache.spark.sql.streaming.OutputMode;
import org.apache.spark.sql.streaming.Trigger;
import ticksmith.peers.market.Settings;

/** Trades to bars with Spark Structured Streaming: one pass over the topic as it is now. */
public final class BarsJob {
    private static final int CORES = 2;

    private BarsJob() {}

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.read();
        SparkSession spark = session(settings);
        Dataset<RawTrade> trades = spark.readStream()
            .format("kafka")
            .option("kafka.bootstrap.servers", settings.kafka())
            .option("subscribe", settings.trades())
            .option("startingOffsets", "earliest")
            .option("maxOffsetsPerTrigger", 500_000)
            .option("kafka.max.poll.records", 10_000)
            .load()
            .selectExpr("partition", "offset", "value")
            .where("value IS NOT NULL")
            .as(Encoders.bean(RawTrade.class));
        FlatMapGroupsWithStateFunction<Integer, RawTrade, PartitionState, BarRecord> step = new Step(settings);
        MapFunction<RawTrade, Integer> byPartition = RawTrade::getPartition;
        Dataset<BarRecord> bars = trades
            .groupByKey(byPartition, Encoders.INT())
            .flatMapGroupsWithState(
                step,
                OutputMode.Update(),
                Encoders.kryo(PartitionState.class),
                Encoders.bean(BarRecord.class),
                GroupStateTimeout.NoTimeout());
        bars.writeStream()
            .format("kafka")
            .option("kafka.bootstrap.servers", settings.kafka())
            .option("kafka.compression.type", "lz4")
            .option("topic", settings.bars())
            .option("checkpointLocation", settings.state() + "/checkpoint")
            .outputMode(OutputMode.Update())
            .trigger(Trigger.AvailableNow())
            .start()
            .awaitTermination();
        spark.stop();
        // The executors' session with Cassandra has threads of its own, which would keep the process for ever.
        System.exit(0);
    }

    private static SparkSession session(Settings settings) {
        return SparkSession.builder()
            .appName(settings.name())
            .master("local[" + CORES + "]")
            .config("spark.ui.enabled", false)
            .config("spark.sql.shuffle.partitions", CORES)
            .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
            .config("spark.local.dir", settings.state())
            .config("spark.sql.warehouse.dir", settings.state() + "/warehouse")
            .getOrCreate();
    }
}
