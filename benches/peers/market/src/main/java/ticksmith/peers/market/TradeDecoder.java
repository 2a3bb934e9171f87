package ticksmith.peers.market;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

/**
 * Values of the trades topic: Avro single-object encoding of trade.avsc. Read field by field, which costs a third of
 * a generic record.
 */
public final class TradeDecoder {
    private final byte[] header = SingleObject.header("trade.avsc");
    private final Conditions conditions = new Conditions();
    private BinaryDecoder decoder;

    /** Null for a feed event, which has no value. */
    public Trade decode(byte[] value, int partition, long offset) {
        if (value == null) return null;
        if (Arrays.mismatch(value, header) != header.length) {
            throw new IllegalArgumentException("partition " + partition + ", offset " + offset + " is no trade");
        }
        decoder = DecoderFactory.get().binaryDecoder(value, header.length, value.length - header.length, decoder);
        try {
            return read(partition, offset);
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        }
    }

    private Trade read(int partition, long offset) throws IOException {
        Trade trade = new Trade();
        trade.symbol = decoder.readString();
        trade.price = decoder.readDouble();
        trade.volume = decoder.readDouble();
        trade.time = decoder.readLong();
        trade.conditions = decoder.readIndex() == 0 ? null : codes();
        trade.connection = decoder.readLong();
        trade.seq = decoder.readLong();
        trade.receivedAt = decoder.readLong();
        trade.feed = decoder.readString();
        trade.partition = partition;
        trade.arrival = offset;
        trade.rights = conditions.judge(trade.symbol, trade.conditions, trade.volume, trade.time);
        return trade;
    }

    private String codes() throws IOException {
        String codes = null;
        for (long count = decoder.readArrayStart(); count != 0; count = decoder.arrayNext()) {
            for (long i = 0; i < count; i++) {
                String code = decoder.readString();
                codes = codes == null ? code : codes + "," + code;
            }
        }
        return codes;
    }
}
