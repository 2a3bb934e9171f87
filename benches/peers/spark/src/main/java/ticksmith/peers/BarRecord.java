package ticksmith.peers;

import java.io.Serializable;
import ticksmith.peers.market.Bar;

/** A record of the bars topic, in the columns that Spark's Kafka sink wants. */
public final class BarRecord implements Serializable {
    private static final long serialVersionUID = 1;

    private byte[] key;
    private byte[] value;

    static BarRecord of(Bar bar) {
        var record = new BarRecord();
        record.key = bar.key();
        record.value = bar.toBytes();
        return record;
    }

    public byte[] getKey() {
        return key;
    }

    public void setKey(byte[] key) {
        this.key = key;
    }

    public byte[] getValue() {
        return value;
    }

    public void setValue(byte[] value) {
        this.value = value;
    }
}
