package ticksmith.peers;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import ticksmith.peers.market.PartitionIntake;
import ticksmith.peers.market.Trade;

/**
 * Judges trades partition by partition, chained to the source: keyed state would cost a look-up a trade, and Flink's
 * own lateness goes by the slowest partition. Union state, since splits may move at a restart.
 */
final class Intake extends RichMapFunction<Trade, Trade> implements CheckpointedFunction {
    private static final long serialVersionUID = 1;

    private transient Map<Integer, PartitionIntake> partitions;
    private transient ListState<Tuple2<Integer, byte[]>> saved;

    @Override
    public Trade map(Trade trade) {
        PartitionIntake intake = partitions.get(trade.partition);
        if (intake == null) partitions.put(trade.partition, intake = new PartitionIntake());
        intake.judge(trade);
        return trade;
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        TypeInformation<Tuple2<Integer, byte[]>> type = Types.TUPLE(Types.INT, Types.PRIMITIVE_ARRAY(Types.BYTE));
        saved = context.getOperatorStateStore().getUnionListState(new ListStateDescriptor<>("intake", type));
        partitions = new HashMap<>();
        for (Tuple2<Integer, byte[]> one : saved.get()) {
            // Another subtask's copy of a partition that moved is older.
            PartitionIntake intake = PartitionIntake.fromBytes(one.f1);
            partitions.merge(one.f0, intake, (a, b) -> a.newest >= b.newest ? a : b);
        }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        saved.clear();
        for (var one : partitions.entrySet()) saved.add(Tuple2.of(one.getKey(), one.getValue().toBytes()));
    }
}
