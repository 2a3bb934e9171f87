package ticksmith.peers;

import java.time.Duration;
import java.util.Set;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorSupplier;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import ticksmith.peers.market.PartitionIntake;
import ticksmith.peers.market.PartitionIntake.Fate;
import ticksmith.peers.market.Tables;
import ticksmith.peers.market.Trade;

/**
 * Takes out repeats and late trades, partition by partition; only what is to be merged goes on. With tables, it writes
 * bronze and silver, and asks for the commit itself once they are acknowledged: Streams has no hook before a commit.
 */
final class IntakeSupplier implements FixedKeyProcessorSupplier<String, Trade, Trade> {
    private static final String STORE = "intake";
    private static final Duration COMMIT_EVERY = Duration.ofSeconds(1);

    private final Tables tables;

    /** Without tables: null. */
    IntakeSupplier(Tables tables) {
        this.tables = tables;
    }

    @Override
    public Set<StoreBuilder<?>> stores() {
        var store = Stores.inMemoryKeyValueStore(STORE);
        return Set.of(Stores.keyValueStoreBuilder(store, Serdes.Integer(), Serdes.ByteArray()).withCachingEnabled());
    }

    @Override
    public FixedKeyProcessor<String, Trade, Trade> get() {
        return new Intake(tables);
    }

    private static final class Intake implements FixedKeyProcessor<String, Trade, Trade> {
        private final Tables tables;
        private FixedKeyProcessorContext<String, Trade> context;
        private KeyValueStore<Integer, byte[]> store;
        /** What the store holds, decoded: a task has one partition. */
        private PartitionIntake intake;

        Intake(Tables tables) {
            this.tables = tables;
        }

        @Override
        public void init(FixedKeyProcessorContext<String, Trade> context) {
            this.context = context;
            store = context.getStateStore(STORE);
            byte[] saved = store.get(context.taskId().partition());
            intake = saved == null ? new PartitionIntake() : PartitionIntake.fromBytes(saved);
            if (tables == null) return;
            context.schedule(COMMIT_EVERY, PunctuationType.WALL_CLOCK_TIME, now -> {
                tables.flush();
                context.commit();
            });
        }

        @Override
        public void process(FixedKeyRecord<String, Trade> record) {
            Trade trade = record.value();
            if (trade == null) return;
            var place = context.recordMetadata().orElseThrow();
            trade.partition = place.partition();
            trade.arrival = place.offset();
            Fate fate = intake.judge(trade);
            store.put(trade.partition, intake.toBytes());
            if (tables != null) tables.trade(trade);
            if (fate == Fate.MERGED) context.forward(record);
        }
    }
}
