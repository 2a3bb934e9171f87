package ticksmith.peers;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import org.apache.spark.api.java.function.FlatMapGroupsWithStateFunction;
import org.apache.spark.sql.streaming.GroupState;
import ticksmith.peers.PartitionState.Window;
import ticksmith.peers.market.Accumulator;
import ticksmith.peers.market.Bar;
import ticksmith.peers.market.Interval;
import ticksmith.peers.market.PartitionIntake;
import ticksmith.peers.market.PartitionIntake.Fate;
import ticksmith.peers.market.Settings;
import ticksmith.peers.market.Tables;
import ticksmith.peers.market.Trade;
import ticksmith.peers.market.TradeDecoder;

/** One partition's share of one batch: its bars that were closed by it, or changed after their closing. */
final class Step implements FlatMapGroupsWithStateFunction<Integer, RawTrade, PartitionState, BarRecord> {
    private static final long serialVersionUID = 1;
    /** One for all tasks of this process. */
    private static Tables tables;

    private final Settings settings;

    Step(Settings settings) {
        this.settings = settings;
    }

    @Override
    public Iterator<BarRecord> call(Integer partition, Iterator<RawTrade> batch, GroupState<PartitionState> saved) {
        PartitionState state = saved.exists() ? saved.get() : new PartitionState();
        PartitionIntake intake = PartitionIntake.fromBytes(state.intake);
        Tables rows = settings.hasTables() ? tables(settings) : null;
        long before = intake.watermark();
        var decoder = new TradeDecoder();
        Set<Window> changed = new HashSet<>();
        for (RawTrade raw : inOrder(batch)) {
            Trade trade = decoder.decode(raw.getValue(), partition, raw.getOffset());
            Fate fate = intake.judge(trade);
            if (rows != null) rows.trade(trade);
            if (fate != Fate.MERGED) continue;
            for (Interval interval : Interval.values()) {
                var window = Window.of(trade.symbol, interval, trade.time);
                state.windows.computeIfAbsent(window, none -> new Accumulator()).add(trade);
                if (window.end() <= before) changed.add(window);
            }
        }
        List<BarRecord> records = tell(state, changed, before, intake.watermark(), rows);
        long kept = intake.watermark() - PartitionIntake.ALLOWED_LATENESS_MS;
        state.windows.keySet().removeIf(window -> window.end() <= kept);
        state.intake = intake.toBytes();
        saved.update(state);
        if (rows != null) rows.flush();
        return records.iterator();
    }

    /** The shuffle promises no order within a group. */
    private static List<RawTrade> inOrder(Iterator<RawTrade> batch) {
        List<RawTrade> trades = new ArrayList<>();
        batch.forEachRemaining(trades::add);
        trades.sort(Comparator.comparingLong(RawTrade::getOffset));
        return trades;
    }

    private static List<BarRecord> tell(
            PartitionState state, Set<Window> changed, long before, long watermark, Tables rows) {
        List<BarRecord> records = new ArrayList<>();
        state.windows.forEach((window, total) -> {
            boolean isClosing = window.end() > before && window.end() <= watermark;
            if (!isClosing && !changed.contains(window)) return;
            var bar = new Bar(window.symbol, window.interval, window.start, total, true);
            if (rows != null) rows.bar(bar);
            records.add(BarRecord.of(bar));
        });
        return records;
    }

    private static synchronized Tables tables(Settings settings) {
        if (tables == null) tables = Tables.open(settings);
        return tables;
    }
}
