package ticksmith.peers;

import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;
import ticksmith.peers.market.Bar;

/** Records of the bars topic. */
final class BarSchema implements KafkaRecordSerializationSchema<Bar> {
    private static final long serialVersionUID = 1;

    private final String topic;

    BarSchema(String topic) {
        this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(Bar bar, KafkaSinkContext context, Long timestamp) {
        return new ProducerRecord<>(topic, bar.key(), bar.toBytes());
    }
}
