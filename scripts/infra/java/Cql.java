import com.datastax.driver.core.Cluster;
import com.datastax.driver.core.ColumnDefinitions;
import com.datastax.driver.core.ResultSet;
import com.datastax.driver.core.Row;
import com.datastax.driver.core.Session;
import com.datastax.driver.core.TypeCodec;
import com.datastax.driver.core.exceptions.DriverException;

/**
 * Executes CQL statements with the Java driver that comes with Cassandra and prints the rows, so that tests read the
 * tables with somebody else's client and nobody needs cqlsh:
 *
 *   scripts/infra.sh java cassandra scripts/infra/java/Cql.java HOST:PORT STATEMENT [STATEMENT ...]
 *
 * A statement "-" stands for standard input: statements that end with a semicolon at the end of a line.
 * Per result: a line "# name type<TAB>name type ...", then one tab-separated line a row, values as CQL literals.
 * Exit code 1 and one line on standard error at the first statement that fails.
 */
public class Cql {
    public static void main(String[] args) throws Exception {
        if (args.length < 2) {
            System.err.println("usage: Cql HOST:PORT STATEMENT [STATEMENT ...]");
            System.exit(2);
        }
        String[] address = args[0].split(":");
        int failed = 0;
        try (Cluster cluster = Cluster.builder().addContactPoint(address[0]).withPort(Integer.parseInt(address[1]))
                .withoutMetrics().withoutJMXReporting().build();
                Session session = cluster.connect()) {
            session.getCluster().getConfiguration().getSocketOptions().setReadTimeoutMillis(60_000);
            for (int i = 1; i < args.length && failed == 0; i++) {
                for (String statement : statements(args[i])) {
                    try {
                        print(cluster, session.execute(statement));
                    } catch (DriverException e) {
                        System.err.println(e.getMessage() + " [" + statement.strip() + "]");
                        failed = 1;
                        break;
                    }
                }
            }
        } catch (DriverException e) {
            System.err.println(e.getMessage());
            failed = 1;
        }
        System.exit(failed);
    }

    private static String[] statements(String argument) throws Exception {
        if (!argument.equals("-")) {
            return new String[] {argument};
        }
        String text = new String(System.in.readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
        return java.util.Arrays.stream(text.split(";\\s*(\\n|$)")).filter(s -> !s.isBlank()).toArray(String[]::new);
    }

    private static void print(Cluster cluster, ResultSet rows) {
        ColumnDefinitions columns = rows.getColumnDefinitions();
        if (columns.size() == 0) {
            return;
        }
        StringBuilder line = new StringBuilder("# ");
        for (ColumnDefinitions.Definition column : columns) {
            line.append(line.length() > 2 ? "\t" : "").append(column.getName()).append(' ').append(column.getType());
        }
        System.out.println(line);
        for (Row row : rows) {
            line.setLength(0);
            for (int i = 0; i < columns.size(); i++) {
                TypeCodec<Object> codec =
                        cluster.getConfiguration().getCodecRegistry().codecFor(columns.getType(i));
                line.append(i > 0 ? "\t" : "").append(codec.format(row.isNull(i) ? null : row.get(i, codec)));
            }
            System.out.println(line);
        }
    }
}
