package ticksmith.peers.market;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;

/**
 * Judges the records of one partition in order: repeat, late or to be merged. A repeat is known by the highest seq of
 * its connection; late is whatever lies before the partition's watermark by more than the allowed lateness.
 */
public final class PartitionIntake {
    public static final long OUT_OF_ORDERNESS_MS = 2_000;
    public static final long ALLOWED_LATENESS_MS = 600_000;
    private static final long FUTURE_BOUND_MS = 60_000;

    /** How a record ends. */
    public enum Fate { MERGED, DUPLICATE, LATE, REJECTED }

    /** Newest event time, ms since the epoch. */
    public long newest = Long.MIN_VALUE;
    /** Highest seq by connection. */
    public Map<Long, Long> marks = new HashMap<>();

    /** Sets the trade's fate. */
    public Fate judge(Trade trade) {
        trade.fate = fateOf(trade);
        return trade.fate;
    }

    private Fate fateOf(Trade trade) {
        Long mark = marks.get(trade.connection);
        if (mark != null && trade.seq <= mark) return Fate.DUPLICATE;
        marks.put(trade.connection, trade.seq);
        boolean isBelievable = trade.price > 0 && trade.price <= 1e15 && trade.volume >= 0 && trade.volume <= 1e15;
        if (!isBelievable || trade.time > Math.max(trade.receivedAt / 1000, newest) + FUTURE_BOUND_MS) {
            return Fate.REJECTED;
        }
        newest = Math.max(newest, trade.time);
        boolean isLate = trade.time < watermark() - ALLOWED_LATENESS_MS;
        return isLate ? Fate.LATE : Fate.MERGED;
    }

    /** ms since the epoch; the lowest number before the first trade. */
    public long watermark() {
        return newest == Long.MIN_VALUE ? newest : newest - OUT_OF_ORDERNESS_MS;
    }

    public byte[] toBytes() {
        ByteBuffer bytes = ByteBuffer.allocate(8 + 16 * marks.size()).putLong(newest);
        marks.forEach((connection, seq) -> bytes.putLong(connection).putLong(seq));
        return bytes.array();
    }

    public static PartitionIntake fromBytes(byte[] from) {
        ByteBuffer bytes = ByteBuffer.wrap(from);
        PartitionIntake intake = new PartitionIntake();
        intake.newest = bytes.getLong();
        while (bytes.hasRemaining()) intake.marks.put(bytes.getLong(), bytes.getLong());
        return intake;
    }
}
