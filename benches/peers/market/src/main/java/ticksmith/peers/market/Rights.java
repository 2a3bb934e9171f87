package ticksmith.peers.market;

/** What a trade may change in a bar, as bits. */
public final class Rights {
    /** Open and close, by full right. */
    public static final int LAST = 1;
    /** Open and close, in a window without a trade that has {@link #LAST}. */
    public static final int LAST_IF_NO_OTHER = 2;
    public static final int HIGH_LOW = 4;
    public static final int VOLUME = 8;
    public static final int ALL = LAST | HIGH_LOW | VOLUME;

    private Rights() {}

    /** Codes combine by AND: one "no" is enough; "if no other" is less than full right. */
    static int and(int a, int b) {
        int both = a & b & ALL;
        boolean mayBoth = (a & (LAST | LAST_IF_NO_OTHER)) != 0 && (b & (LAST | LAST_IF_NO_OTHER)) != 0;
        return mayBoth && (both & LAST) == 0 ? both | LAST_IF_NO_OTHER : both;
    }
}
