package ticksmith.peers.market;

import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.config.DefaultDriverOption;
import com.datastax.oss.driver.api.core.config.DriverConfigLoader;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.BatchStatementBuilder;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.cql.BoundStatementBuilder;
import com.datastax.oss.driver.api.core.cql.DefaultBatchType;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.oss.driver.api.core.cql.Statement;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicReference;
import ticksmith.peers.market.PartitionIntake.Fate;

/**
 * Bronze, silver and gold. Rows of trades go in unlogged batches of one partition, bounded in number; bars go one by
 * one, since two contents of a bar in one batch would have one write time.
 */
public final class Tables implements AutoCloseable {
    private static final int BATCH_ROWS = 100;
    private static final int IN_FLIGHT = 32;
    private static final long BUCKET_S = 600;

    private record Part(String table, String symbol, int bucket) {}

    private final CqlSession session;
    private final Map<String, PreparedStatement> trades = new HashMap<>();
    private final Map<Interval, PreparedStatement> gold = new EnumMap<>(Interval.class);
    private final Map<Part, BatchStatementBuilder> open = new HashMap<>();
    private final Semaphore free = new Semaphore(IN_FLIGHT);
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    private Tables(CqlSession session) {
        this.session = session;
        for (String table : new String[] {"trades_bronze", "trades_silver"}) {
            trades.put(table, session.prepare("INSERT INTO " + table + " (symbol, bucket, ts, connection, seq, price,"
                + " volume, conditions, received_at, feed, disposition, log_partition, log_offset)"
                + " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
        }
        for (Interval interval : Interval.values()) {
            gold.put(interval, session.prepare("INSERT INTO trades_gold_" + interval.label + " (symbol, ts, window_end,"
                + " volume, volume_exact, vwap, trade_count, state, revision,"
                + " open, open_time, open_connection, open_seq, high, high_time, high_connection, high_seq,"
                + " low, low_time, low_connection, low_seq, close, close_time, close_connection, close_seq)"
                + " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
        }
    }

    public static Tables open(Settings settings) {
        String[] place = settings.cassandra().split(":");
        var patience = DriverConfigLoader.programmaticBuilder()
            .withDuration(DefaultDriverOption.REQUEST_TIMEOUT, Duration.ofSeconds(30))
            .build();
        return new Tables(CqlSession.builder()
            .addContactPoint(new InetSocketAddress(place[0], Integer.parseInt(place[1])))
            .withLocalDatacenter("datacenter1")
            .withKeyspace(settings.keyspace())
            .withConfigLoader(patience)
            .build());
    }

    /** Bronze has every element; silver has what is merged or late. */
    public synchronized void trade(Trade trade) {
        add("trades_bronze", trade);
        if (trade.fate == Fate.MERGED || trade.fate == Fate.LATE) add("trades_silver", trade);
    }

    private void add(String table, Trade trade) {
        int bucket = (int) Math.floorDiv(trade.time, BUCKET_S * 1000);
        var part = new Part(table, trade.symbol, bucket);
        var batch = open.computeIfAbsent(part, none -> BatchStatement.builder(DefaultBatchType.UNLOGGED));
        batch.addStatement(row(trades.get(table), trade, bucket));
        if (batch.getStatementsCount() >= BATCH_ROWS) {
            open.remove(part);
            send(batch.build());
        }
    }

    private static BoundStatement row(PreparedStatement statement, Trade trade, int bucket) {
        BoundStatementBuilder row = statement.boundStatementBuilder()
            .setString(0, trade.symbol)
            .setInt(1, bucket)
            .setInstant(2, Instant.ofEpochMilli(trade.time))
            .setLong(3, trade.connection)
            .setLong(4, trade.seq)
            .setDouble(5, trade.price)
            .setDouble(6, trade.volume);
        if (trade.conditions != null) row.setString(7, trade.conditions);
        return row.setInstant(8, Instant.ofEpochMilli(trade.receivedAt / 1000))
            .setString(9, trade.feed)
            .setString(10, trade.fate.name().toLowerCase(java.util.Locale.ROOT))
            .setInt(11, trade.partition)
            .setLong(12, trade.arrival)
            .build();
    }

    public synchronized void bar(Bar bar) {
        BoundStatementBuilder row = gold.get(bar.interval).boundStatementBuilder()
            .setString(0, bar.symbol)
            .setInstant(1, Instant.ofEpochMilli(bar.start))
            .setInstant(2, Instant.ofEpochMilli(bar.end()))
            .setDouble(3, bar.total.volume)
            .setString(4, bar.exactVolume())
            .set(5, bar.vwap(), Double.class)
            .setLong(6, bar.total.count)
            .setString(7, bar.state())
            .setLong(8, bar.total.inputs);
        Point[] points = {bar.total.open(), bar.total.high, bar.total.low, bar.total.close()};
        for (int i = 0, at = 9; i < points.length; i++, at += 4) {
            Point point = points[i];
            row.set(at, point == null ? null : point.price, Double.class)
                .setInstant(at + 1, point == null ? null : Instant.ofEpochMilli(point.time))
                .set(at + 2, point == null ? null : point.connection, Long.class)
                .set(at + 3, point == null ? null : point.seq, Long.class);
        }
        send(row.build());
    }

    private void send(Statement<?> statement) {
        free.acquireUninterruptibly();
        session.executeAsync(statement).whenComplete((result, problem) -> {
            if (problem != null) failure.compareAndSet(null, problem);
            free.release();
        });
    }

    /** Returns when everything so far is acknowledged. */
    public synchronized void flush() {
        for (BatchStatementBuilder batch : new ArrayList<>(open.values())) send(batch.build());
        open.clear();
        free.acquireUninterruptibly(IN_FLIGHT);
        free.release(IN_FLIGHT);
        if (failure.get() != null) throw new IllegalStateException("Cassandra refused a write", failure.get());
    }

    @Override
    public void close() {
        flush();
        session.close();
    }
}
