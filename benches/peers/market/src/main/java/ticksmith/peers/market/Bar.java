package ticksmith.peers.market;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;

/** One window of one symbol, and its record of the bars topic: bar.avsc in Avro's single-object encoding. */
public final class Bar {
    private static final byte[] HEADER = SingleObject.header("bar.avsc");
    private static final int UNKNOWN_VERDICT = 2;

    public String symbol;
    public Interval interval;
    /** ms since the epoch. */
    public long start;
    public Accumulator total;
    /** The watermark has passed its end. */
    public boolean closed;

    public Bar() {}

    public Bar(String symbol, Interval interval, long start, Accumulator total, boolean closed) {
        this.symbol = symbol;
        this.interval = interval;
        this.start = start;
        this.total = total;
        this.closed = closed;
    }

    public byte[] key() {
        return symbol.getBytes(StandardCharsets.UTF_8);
    }

    public long end() {
        return start + interval.lengthMs;
    }

    public String state() {
        return closed ? "closed" : "provisional";
    }

    /** Null when nothing was traded. */
    public Double vwap() {
        return total.volume == 0 ? null : total.turnover / total.volume;
    }

    public String exactVolume() {
        return BigDecimal.valueOf(total.volume).stripTrailingZeros().toPlainString();
    }

    public byte[] toBytes() {
        var out = new ByteArrayOutputStream(320);
        out.writeBytes(HEADER);
        try {
            BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
            write(encoder);
            encoder.flush();
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        }
        return out.toByteArray();
    }

    private void write(BinaryEncoder encoder) throws IOException {
        encoder.writeString(symbol);
        encoder.writeString(interval.label);
        encoder.writeLong(start);
        encoder.writeLong(end());
        Point[] points = {total.open(), total.high, total.low, total.close()};
        for (Point point : points) optional(encoder, point == null ? null : point.price);
        encoder.writeDouble(total.volume);
        encoder.writeString(exactVolume());
        optional(encoder, vwap());
        encoder.writeLong(total.count);
        for (Point point : points) reference(encoder, point);
        encoder.writeArrayStart(); // excluded: left out, see the README
        encoder.setItemCount(0);
        encoder.writeArrayEnd();
        encoder.writeIndex(0); // session
        encoder.writeIndex(0); // coverage
        encoder.writeLong(0); // gap_ms
        encoder.writeEnum(UNKNOWN_VERDICT);
        encoder.writeEnum(closed ? 1 : 0);
        encoder.writeLong(total.inputs);
        encoder.writeLong(0); // generation
        encoder.writeInt(1); // conditions_version
        encoder.writeLong(0); // late_included
    }

    private static void optional(BinaryEncoder encoder, Double value) throws IOException {
        encoder.writeIndex(value == null ? 0 : 1);
        if (value != null) encoder.writeDouble(value);
    }

    private static void reference(BinaryEncoder encoder, Point point) throws IOException {
        encoder.writeIndex(point == null ? 0 : 1);
        if (point == null) return;
        encoder.writeLong(point.time);
        encoder.writeLong(point.connection);
        encoder.writeLong(point.seq);
    }
}
