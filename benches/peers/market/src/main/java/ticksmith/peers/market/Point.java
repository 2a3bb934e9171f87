package ticksmith.peers.market;

/** The trade that set a price. */
public final class Point {
    public double price;
    public long time;
    public long arrival;
    public long connection;
    public long seq;

    static Point set(Point point, Tick tick) {
        Point to = point == null ? new Point() : point;
        to.price = tick.price;
        to.time = tick.time;
        to.arrival = tick.arrival;
        to.connection = tick.connection;
        to.seq = tick.seq;
        return to;
    }

    /** Event time, then arrival. */
    boolean isAfter(Tick tick) {
        return time != tick.time ? time > tick.time : arrival > tick.arrival;
    }
}
