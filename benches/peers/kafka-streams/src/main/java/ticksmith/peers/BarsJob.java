package ticksmith.peers;

import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;
import ticksmith.peers.market.Accumulator;
import ticksmith.peers.market.Bar;
import ticksmith.peers.market.Interval;
import ticksmith.peers.market.PartitionIntake;
import ticksmith.peers.market.Settings;
import ticksmith.peers.market.Tables;
import ticksmith.peers.market.Trade;

/** Trades to bars with Kafka Streams: one pass over the topic as it is now, exactly once. */
public final class BarsJob {
    /** Stream time is the newest trade, where ticksmith's watermark lies behind it. */
    private static final Duration GRACE =
        Duration.ofMillis(PartitionIntake.ALLOWED_LATENESS_MS + PartitionIntake.OUT_OF_ORDERNESS_MS);

    private BarsJob() {}

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.read();
        Tables tables = settings.hasTables() ? Tables.open(settings) : null;
        var streams = new KafkaStreams(topology(settings, tables).build(), properties(settings));
        var failure = new AtomicReference<Throwable>();
        var failed = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(problem -> {
            failure.set(problem);
            failed.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        UntilEnd.await(settings, failed);
        streams.close();
        if (tables != null) tables.close();
        if (failure.get() != null) throw new IllegalStateException("the job failed", failure.get());
    }

    private static StreamsBuilder topology(Settings settings, Tables tables) {
        var builder = new StreamsBuilder();
        var consumed = Consumed.with(Serdes.String(), TradeSerde.create())
            .withTimestampExtractor((record, partitionTime) -> TradeSerde.timeOf(record, partitionTime));
        KStream<String, Trade> merged = builder.stream(settings.trades(), consumed)
            .processValues(new IntakeSupplier(tables));
        var bySymbol = merged.groupByKey(Grouped.with(Serdes.String(), TradeSerde.create()));
        for (Interval interval : Interval.values()) bars(bySymbol, interval, settings, tables);
        return builder;
    }

    private static void bars(
        KGroupedStream<String, Trade> bySymbol, Interval interval, Settings settings, Tables tables) {
        Duration length = Duration.ofMillis(interval.lengthMs);
        var store = Stores.inMemoryWindowStore("bars-" + interval.label, length.plus(GRACE), length, false);
        Materialized<String, Accumulator, WindowStore<Bytes, byte[]>> materialized =
            Materialized.as(store);
        KStream<String, Bar> bars = bySymbol.windowedBy(TimeWindows.ofSizeAndGrace(length, GRACE))
            .aggregate(
                Accumulator::new,
                (symbol, trade, total) -> total.add(trade),
                materialized.withKeySerde(Serdes.String()).withValueSerde(AccumulatorSerde.create())
                    .withCachingEnabled())
            .toStream()
            .map((window, total) -> {
                var bar = new Bar(window.key(), interval, window.window().start(), total, false);
                return KeyValue.pair(bar.symbol, bar);
            });
        if (tables != null) bars.foreach((symbol, bar) -> tables.bar(bar));
        bars.mapValues(Bar::toBytes).to(settings.bars(), Produced.with(Serdes.String(), Serdes.ByteArray()));
    }

    private static Properties properties(Settings settings) {
        var properties = new Properties();
        properties.putAll(Map.of(
            StreamsConfig.APPLICATION_ID_CONFIG, settings.name(),
            StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, settings.kafka(),
            StreamsConfig.STATE_DIR_CONFIG, settings.state(),
            StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2,
            StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2,
            StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64 * 1024 * 1024));
        // With tables, the intake asks for each commit, once their rows are acknowledged.
        boolean byItself = !settings.hasTables();
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, byItself ? 1_000 : 600_000);
        properties.put(
            StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG), byItself ? 60_000 : 900_000);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        return properties;
    }
}
