package ticksmith.peers;

import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import ticksmith.peers.market.Accumulator;

final class AccumulatorSerde {
    private AccumulatorSerde() {}

    static Serde<Accumulator> create() {
        return Serdes.serdeFrom(
            (topic, total) -> total == null ? null : total.toBytes(),
            (topic, bytes) -> bytes == null ? null : Accumulator.fromBytes(bytes));
    }
}
