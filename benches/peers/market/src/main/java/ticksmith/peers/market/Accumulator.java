package ticksmith.peers.market;

import java.nio.ByteBuffer;

/** What one window adds up to. Sums are doubles, where ticksmith's are exact. */
public final class Accumulator {
    private static final int POINT_BYTES = 40;

    public Point first;
    public Point last;
    /** Trades that set open and close only in a window without others. */
    public Point conditionalFirst;
    public Point conditionalLast;
    public Point high;
    public Point low;
    public double volume;
    public double turnover;
    public long count;
    public long inputs;

    public Accumulator add(Tick tick) {
        if ((tick.rights & Rights.LAST) != 0) {
            first = first == null || first.isAfter(tick) ? Point.set(first, tick) : first;
            last = last == null || !last.isAfter(tick) ? Point.set(last, tick) : last;
        } else if ((tick.rights & Rights.LAST_IF_NO_OTHER) != 0) {
            conditionalFirst = conditionalFirst == null || conditionalFirst.isAfter(tick)
                ? Point.set(conditionalFirst, tick) : conditionalFirst;
            conditionalLast = conditionalLast == null || !conditionalLast.isAfter(tick)
                ? Point.set(conditionalLast, tick) : conditionalLast;
        }
        if ((tick.rights & Rights.HIGH_LOW) != 0) {
            if (high == null || tick.price > high.price || tick.price == high.price && high.isAfter(tick)) {
                high = Point.set(high, tick);
            }
            if (low == null || tick.price < low.price || tick.price == low.price && low.isAfter(tick)) {
                low = Point.set(low, tick);
            }
        }
        if ((tick.rights & Rights.VOLUME) != 0) {
            volume += tick.volume;
            turnover += tick.price * tick.volume;
            count++;
        }
        inputs++;
        return this;
    }

    public Point open() {
        return first != null ? first : conditionalFirst;
    }

    public Point close() {
        return last != null ? last : conditionalLast;
    }

    public byte[] toBytes() {
        Point[] points = {first, last, conditionalFirst, conditionalLast, high, low};
        int present = 0;
        for (int i = 0; i < points.length; i++) present |= points[i] == null ? 0 : 1 << i;
        ByteBuffer bytes = ByteBuffer.allocate(1 + 32 + POINT_BYTES * Integer.bitCount(present));
        bytes.put((byte) present).putDouble(volume).putDouble(turnover).putLong(count).putLong(inputs);
        for (Point point : points) {
            if (point == null) continue;
            bytes.putDouble(point.price).putLong(point.time).putLong(point.arrival);
            bytes.putLong(point.connection).putLong(point.seq);
        }
        return bytes.array();
    }

    public static Accumulator fromBytes(byte[] from) {
        ByteBuffer bytes = ByteBuffer.wrap(from);
        Accumulator accumulator = new Accumulator();
        int present = bytes.get();
        accumulator.volume = bytes.getDouble();
        accumulator.turnover = bytes.getDouble();
        accumulator.count = bytes.getLong();
        accumulator.inputs = bytes.getLong();
        accumulator.first = point(present, 0, bytes);
        accumulator.last = point(present, 1, bytes);
        accumulator.conditionalFirst = point(present, 2, bytes);
        accumulator.conditionalLast = point(present, 3, bytes);
        accumulator.high = point(present, 4, bytes);
        accumulator.low = point(present, 5, bytes);
        return accumulator;
    }

    private static Point point(int present, int bit, ByteBuffer bytes) {
        if ((present & 1 << bit) == 0) return null;
        Point point = new Point();
        point.price = bytes.getDouble();
        point.time = bytes.getLong();
        point.arrival = bytes.getLong();
        point.connection = bytes.getLong();
        point.seq = bytes.getLong();
        return point;
    }
}
