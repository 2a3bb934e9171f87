package ticksmith.peers.market;

import ticksmith.peers.market.PartitionIntake.Fate;

/** A record of the trades topic, with its place there. */
public class Trade extends Tick {
    public int partition;
    /** Codes, separated by commas; null when there are none. */
    public String conditions;
    /** µs since the epoch. */
    public long receivedAt;
    public String feed;
    /** Null until the intake has judged it. */
    public Fate fate;
}
