package ticksmith.peers;

import org.apache.flink.api.common.functions.AggregateFunction;
import ticksmith.peers.market.Accumulator;
import ticksmith.peers.market.Tick;

/** One accumulator a window, whatever number of trades it has. */
final class BarAggregate implements AggregateFunction<Tick, Accumulator, Accumulator> {
    private static final long serialVersionUID = 1;

    @Override
    public Accumulator createAccumulator() {
        return new Accumulator();
    }

    @Override
    public Accumulator add(Tick tick, Accumulator total) {
        return total.add(tick);
    }

    @Override
    public Accumulator getResult(Accumulator total) {
        return total;
    }

    @Override
    public Accumulator merge(Accumulator one, Accumulator other) {
        throw new UnsupportedOperationException("tumbling windows do not merge");
    }
}
