package ticksmith.peers.market;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;

/** Avro's single-object encoding: two bytes, then the fingerprint of the schema. */
final class SingleObject {
    private SingleObject() {}

    static byte[] header(String schemaFile) {
        try (var text = SingleObject.class.getResourceAsStream("/" + schemaFile)) {
            Schema schema = new Schema.Parser().parse(text);
            ByteBuffer header = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN);
            header.put((byte) 0xC3).put((byte) 0x01).putLong(SchemaNormalization.parsingFingerprint64(schema));
            return header.array();
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        }
    }
}
