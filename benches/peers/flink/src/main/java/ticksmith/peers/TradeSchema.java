package ticksmith.peers;

import org.apache.flink.api.common.serialization.DeserializationSchema.InitializationContext;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import ticksmith.peers.market.Trade;
import ticksmith.peers.market.TradeDecoder;

/** Records of the trades topic; feed events have no value and are left out. */
final class TradeSchema implements KafkaRecordDeserializationSchema<Trade> {
    private static final long serialVersionUID = 1;

    private transient TradeDecoder decoder;

    @Override
    public void open(InitializationContext context) {
        decoder = new TradeDecoder();
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Trade> out) {
        Trade trade = decoder.decode(record.value(), record.partition(), record.offset());
        if (trade != null) out.collect(trade);
    }

    @Override
    public TypeInformation<Trade> getProducedType() {
        return TypeInformation.of(Trade.class);
    }
}
