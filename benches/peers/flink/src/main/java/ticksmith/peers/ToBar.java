package ticksmith.peers;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import ticksmith.peers.market.Accumulator;
import ticksmith.peers.market.Bar;
import ticksmith.peers.market.Interval;
import ticksmith.peers.market.Settings;

/**
 * Fires when the watermark passes the end, and once more for each trade after that. At the end of the input it leaves
 * a mark for the bench, since the job itself then waits for the next checkpoint.
 */
final class ToBar extends ProcessWindowFunction<Accumulator, Bar, String, TimeWindow> {
    private static final long serialVersionUID = 1;

    private final Interval interval;
    private final Settings settings;
    private transient boolean marked;

    ToBar(Interval interval, Settings settings) {
        this.interval = interval;
        this.settings = settings;
    }

    @Override
    public void process(String symbol, Context context, Iterable<Accumulator> totals, Collector<Bar> out)
            throws IOException {
        boolean atEnd = context.currentWatermark() == Long.MAX_VALUE;
        if (atEnd && !marked) {
            Path mark = Path.of(settings.state(), "end-of-input");
            Files.createDirectories(mark.getParent());
            Files.writeString(mark, "");
            marked = true;
        }
        out.collect(new Bar(symbol, interval, context.window().getStart(), totals.iterator().next(), !atEnd));
    }
}
