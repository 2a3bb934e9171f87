package ticksmith.peers;

import java.io.Serializable;

/** A record as it is read; it is decoded where its partition's state is, so that no trade is encoded in between. */
public final class RawTrade implements Serializable {
    private static final long serialVersionUID = 1;

    private int partition;
    private long offset;
    private byte[] value;

    public int getPartition() {
        return partition;
    }

    public void setPartition(int partition) {
        this.partition = partition;
    }

    public long getOffset() {
        return offset;
    }

    public void setOffset(long offset) {
        this.offset = offset;
    }

    public byte[] getValue() {
        return value;
    }

    public void setValue(byte[] value) {
        this.value = value;
    }
}
