package ticksmith.peers.market;

import java.io.Serializable;

/** What the bench tells a job, as environment variables. */
public record Settings(
    String kafka, String trades, String bars, String name, String state, String cassandra, String keyspace)
    implements Serializable {

    public static Settings read() {
        return new Settings(
            need("PEER_KAFKA"),
            need("PEER_TRADES"),
            need("PEER_BARS"),
            need("PEER_NAME"),
            need("PEER_STATE"),
            System.getenv("PEER_CASSANDRA"),
            System.getenv("PEER_KEYSPACE"));
    }

    /** Whether bronze, silver and gold are wanted besides the bars topic. */
    public boolean hasTables() {
        return cassandra != null && !cassandra.isEmpty();
    }

    private static String need(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) throw new IllegalArgumentException(name + " is not set");
        return value;
    }
}
