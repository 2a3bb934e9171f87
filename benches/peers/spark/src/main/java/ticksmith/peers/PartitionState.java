package ticksmith.peers;

import java.util.HashMap;
import java.util.Map;
import ticksmith.peers.market.Accumulator;
import ticksmith.peers.market.Interval;
import ticksmith.peers.market.PartitionIntake;

/** What one partition knows between two batches. */
public final class PartitionState {
    /** Names a window. No record: Spark's Kryo cannot read one back. */
    public static final class Window {
        public String symbol;
        public Interval interval;
        public long start;

        static Window of(String symbol, Interval interval, long time) {
            var window = new Window();
            window.symbol = symbol;
            window.interval = interval;
            window.start = interval.startOf(time);
            return window;
        }

        long end() {
            return start + interval.lengthMs;
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Window that
                && start == that.start && interval == that.interval && symbol.equals(that.symbol);
        }

        @Override
        public int hashCode() {
            return 31 * (31 * symbol.hashCode() + interval.ordinal()) + Long.hashCode(start);
        }
    }

    public byte[] intake = new PartitionIntake().toBytes();
    public Map<Window, Accumulator> windows = new HashMap<>();
}
