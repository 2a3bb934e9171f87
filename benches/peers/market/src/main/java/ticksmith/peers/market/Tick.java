package ticksmith.peers.market;

/** What a window needs of a trade. Public fields and no constructor arguments: Flink's and Spark's POJO form. */
public class Tick {
    public String symbol;
    public double price;
    public double volume;
    /** Event time, ms since the epoch. */
    public long time;
    /** Offset in its partition: the order of arrival. */
    public long arrival;
    public long connection;
    public long seq;
    /** What its sale conditions let it change, see {@link Rights}. */
    public int rights;

    /** The same without what only the tables want. */
    public static Tick of(Trade trade) {
        Tick tick = new Tick();
        tick.symbol = trade.symbol;
        tick.price = trade.price;
        tick.volume = trade.volume;
        tick.time = trade.time;
        tick.arrival = trade.arrival;
        tick.connection = trade.connection;
        tick.seq = trade.seq;
        tick.rights = trade.rights;
        return tick;
    }
}
