package ticksmith.peers;

import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.CheckpointingMode;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import ticksmith.peers.market.Bar;
import ticksmith.peers.market.Interval;
import ticksmith.peers.market.PartitionIntake;
import ticksmith.peers.market.PartitionIntake.Fate;
import ticksmith.peers.market.Settings;
import ticksmith.peers.market.Tables;
import ticksmith.peers.market.Tick;
import ticksmith.peers.market.Trade;

/** Trades to bars with Flink's DataStream API: one pass over the topic as it is now, exactly once. */
public final class BarsJob {
    private static final int PARALLELISM = 2;
    private static final Duration CHECKPOINT_EVERY = Duration.ofSeconds(10);

    private BarsJob() {}

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.read();
        var environment = environment(settings);
        var strategy = WatermarkStrategy
            .<Trade>forBoundedOutOfOrderness(Duration.ofMillis(PartitionIntake.OUT_OF_ORDERNESS_MS))
            .withTimestampAssigner((trade, none) -> trade.time);
        SingleOutputStreamOperator<Trade> judged = environment
            .fromSource(source(settings), strategy, "trades")
            .map(new Intake());
        KeyedStream<Tick, String> bySymbol = judged
            .filter(trade -> trade.fate == Fate.MERGED)
            .map(Tick::of)
            .returns(Tick.class)
            .keyBy(tick -> tick.symbol);
        DataStream<Bar> bars = bars(bySymbol, Interval.FIVE_MINUTES, settings)
            .union(bars(bySymbol, Interval.HOUR, settings));
        bars.sinkTo(sink(settings));
        if (settings.hasTables()) {
            judged.sinkTo(new TableSink<>(settings, Tables::trade));
            bars.sinkTo(new TableSink<>(settings, Tables::bar));
        }
        environment.execute(settings.name());
    }

    /** Job and task managers in this process: less than a cluster costs. */
    private static StreamExecutionEnvironment environment(Settings settings) {
        var configuration = new Configuration();
        configuration.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(64));
        configuration.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(64));
        configuration.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(16));
        configuration.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, Path.of(settings.state()).toUri().toString());
        var environment = StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, configuration);
        environment.enableCheckpointing(CHECKPOINT_EVERY.toMillis(), CheckpointingMode.EXACTLY_ONCE);
        environment.getConfig().enableObjectReuse();
        return environment;
    }

    private static KafkaSource<Trade> source(Settings settings) {
        return KafkaSource.<Trade>builder()
            .setBootstrapServers(settings.kafka())
            .setTopics(settings.trades())
            .setGroupId(settings.name())
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setBounded(OffsetsInitializer.latest())
            .setProperty("max.poll.records", "10000")
            .setProperty("register.consumer.metrics", "false")
            .setDeserializer(new TradeSchema())
            .build();
    }

    private static DataStream<Bar> bars(KeyedStream<Tick, String> bySymbol, Interval interval, Settings settings) {
        return bySymbol
            .window(TumblingEventTimeWindows.of(Duration.ofMillis(interval.lengthMs)))
            .allowedLateness(Duration.ofMillis(PartitionIntake.ALLOWED_LATENESS_MS))
            .aggregate(new BarAggregate(), new ToBar(interval, settings));
    }

    private static KafkaSink<Bar> sink(Settings settings) {
        return KafkaSink.<Bar>builder()
            .setBootstrapServers(settings.kafka())
            .setRecordSerializer(new BarSchema(settings.bars()))
            .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
            .setTransactionalIdPrefix(settings.name())
            .setProperty("transaction.timeout.ms", "60000")
            .setProperty("compression.type", "lz4")
            .setProperty("linger.ms", "20")
            .build();
    }
}
