package ticksmith.peers.market;

/** The bars that are made. */
public enum Interval {
    FIVE_MINUTES("5m", 300_000),
    HOUR("1h", 3_600_000);

    public final String label;
    public final long lengthMs;

    Interval(String label, long lengthMs) {
        this.label = label;
        this.lengthMs = lengthMs;
    }

    public long startOf(long time) {
        return time - Math.floorMod(time, lengthMs);
    }
}
