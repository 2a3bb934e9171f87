package ticksmith.peers;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import ticksmith.peers.market.Settings;

/** Waits until the group has committed the end that the topic has now: Streams itself knows no end. */
final class UntilEnd {
    private static final long ASK_EVERY_MS = 100;

    private UntilEnd() {}

    static void await(Settings settings, CountDownLatch failed) throws Exception {
        try (var admin = Admin.create(Map.of("bootstrap.servers", settings.kafka()))) {
            Map<TopicPartition, Long> ends = ends(admin, settings.trades());
            while (!reached(admin, settings.name(), ends)) {
                if (failed.await(ASK_EVERY_MS, TimeUnit.MILLISECONDS)) return;
            }
        }
    }

    private static Map<TopicPartition, Long> ends(Admin admin, String topic) throws Exception {
        var described = admin.describeTopics(java.util.List.of(topic)).allTopicNames().get().get(topic);
        var asked = new HashMap<TopicPartition, OffsetSpec>();
        described.partitions().forEach(
            one -> asked.put(new TopicPartition(topic, one.partition()), OffsetSpec.latest()));
        var ends = new HashMap<TopicPartition, Long>();
        admin.listOffsets(asked).all().get().forEach((partition, end) -> ends.put(partition, end.offset()));
        return ends;
    }

    private static boolean reached(Admin admin, String group, Map<TopicPartition, Long> ends) throws Exception {
        var committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        return ends.entrySet().stream().allMatch(end -> {
            var offset = committed.get(end.getKey());
            return end.getValue() == 0 || offset != null && offset.offset() >= end.getValue();
        });
    }
}
