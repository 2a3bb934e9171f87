package ticksmith.peers;

import java.io.Serializable;
import java.util.function.BiConsumer;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import ticksmith.peers.market.Settings;
import ticksmith.peers.market.Tables;

/** Rows of Cassandra; a checkpoint waits until they are acknowledged, and rows that come twice are the same rows. */
final class TableSink<T> implements Sink<T> {
    private static final long serialVersionUID = 1;

    /** A serializable function. */
    interface Write<T> extends BiConsumer<Tables, T>, Serializable {}

    private final Settings settings;
    private final Write<T> write;

    TableSink(Settings settings, Write<T> write) {
        this.settings = settings;
        this.write = write;
    }

    @Override
    public SinkWriter<T> createWriter(WriterInitContext context) {
        return new Writer<>(Tables.open(settings), write);
    }

    @Deprecated
    @Override
    public SinkWriter<T> createWriter(InitContext context) {
        return new Writer<>(Tables.open(settings), write);
    }

    private record Writer<T>(Tables tables, Write<T> write) implements SinkWriter<T> {
        @Override
        public void write(T element, Context context) {
            write.accept(tables, element);
        }

        @Override
        public void flush(boolean endOfInput) {
            tables.flush();
        }

        @Override
        public void close() {
            tables.close();
        }
    }
}
