package ticksmith.peers;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import ticksmith.peers.market.Trade;
import ticksmith.peers.market.TradeDecoder;

/** Trades are read and never written; their place in the log is filled in by the intake. */
final class TradeSerde {
    private TradeSerde() {}

    static Serde<Trade> create() {
        // The threads of a topology share its serdes.
        var decoders = ThreadLocal.withInitial(TradeDecoder::new);
        return Serdes.serdeFrom(
            (topic, trade) -> {
                throw new UnsupportedOperationException("trades are not written");
            },
            (topic, value) -> decoders.get().decode(value, 0, 0));
    }

    static long timeOf(ConsumerRecord<Object, Object> record, long partitionTime) {
        return record.value() instanceof Trade trade ? trade.time : partitionTime;
    }
}
