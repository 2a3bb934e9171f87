"""The records of the topics as a stranger reads and writes them: Kafka by confluent-kafka, Avro by fastavro.

Shares nothing with ticksmith but the schema files and the names in the environment.
"""

import io
import json
import os
import pathlib
from collections import namedtuple

import fastavro
from confluent_kafka import Consumer, KafkaError, TopicPartition
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

FEED_EVENT_HEADER = "ticksmith-feed-event"
SINGLE_OBJECT = b"\xc3\x01"
SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas" / "avro"
SILENT_AFTER_S = 60

Record = namedtuple("Record", "topic partition offset key value headers")


class Undecodable(Exception):
    """The bytes are no Avro record of a schema in the repository."""


def setting(section, key):
    """A key of the configuration, as the processes under test get it."""
    name = f"TICKSMITH__{section.upper()}__{key.upper()}"
    if name not in os.environ:
        raise SystemExit(f"{name} is not set: the test that runs this script sets it")
    return os.environ[name]


def topic_name(which):
    return setting("topics", which)


def without_logical_types(schema):
    """Times as plain numbers: a datetime can hold neither all of them nor their precision."""
    if isinstance(schema, dict):
        return {k: without_logical_types(v) for k, v in schema.items() if k != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(one) for one in schema]
    return schema


class Schemas:
    """Every schema of the repository, by name and by CRC-64-AVRO fingerprint."""

    def __init__(self):
        self.by_name, self.by_header, self.headers = {}, {}, {}
        for path in sorted(SCHEMAS.glob("*.avsc")):
            schema = json.loads(path.read_text())
            parsed = parse_schema(without_logical_types(schema), named_schemas={})
            # fastavro gives the eight bytes in the order in which single-object encoding wants them.
            crc = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
            header = SINGLE_OBJECT + bytes.fromhex(crc)
            name = schema["name"]
            self.by_name[name], self.headers[name] = parsed, header
            self.by_header[header] = (name, parsed)

    def encode(self, name, value):
        out = io.BytesIO()
        out.write(self.headers[name])
        fastavro.schemaless_writer(out, self.by_name[name], value)
        return out.getvalue()

    def decode(self, data, expected):
        found = self.by_header.get(bytes(data[:10]))
        if found is None:
            raise Undecodable(f"unknown header {bytes(data[:10]).hex()}")
        if found[0] != expected:
            raise Undecodable(f"{found[0]} instead of {expected}")
        body = io.BytesIO(data[10:])
        try:
            value = fastavro.schemaless_reader(body, found[1], None)
        except Exception as error:
            raise Undecodable(str(error)) from error
        if body.read(1):
            raise Undecodable("bytes after the record")
        return value


SCHEMA = Schemas()


def murmur2(data):
    """Java's Utils.murmur2, the hash of its default partitioner."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def home_of(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def read_topic(name):
    """Every committed record of a topic, by partition and offset; and the number of partitions."""
    records = sorted(records_of(name), key=lambda r: (r.partition, r.offset))
    return records, partitions_of(name)


def partitions_of(name):
    consumer = Consumer({"bootstrap.servers": setting("kafka", "bootstrap"), "group.id": f"{name}-foreign-reader"})
    try:
        return len(topic_of(consumer, name).partitions)
    finally:
        consumer.close()


def topic_of(consumer, name):
    found = consumer.list_topics(name, timeout=30).topics[name]
    if found.error:
        raise SystemExit(f"topic {name}: {found.error}")
    return found


def records_of(name):
    """The same one by one, in order within each partition: a large topic need not fit into memory."""
    consumer = Consumer(
        {
            "bootstrap.servers": setting("kafka", "bootstrap"),
            "group.id": f"{name}-foreign-reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        waiting = set(topic_of(consumer, name).partitions)
        consumer.assign([TopicPartition(name, partition, 0) for partition in waiting])
        yield from poll_to_ends(consumer, waiting)
    finally:
        consumer.close()


def poll_to_ends(consumer, waiting):
    while waiting:
        message = consumer.poll(SILENT_AFTER_S)
        if message is None:
            raise SystemExit(f"partitions {sorted(waiting)} did not answer within {SILENT_AFTER_S} s")
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise SystemExit(f"reading failed: {error}")
            waiting.discard(message.partition())
            continue
        yield Record(
            message.topic(),
            message.partition(),
            message.offset(),
            message.key(),
            message.value(),
            dict(message.headers() or []),
        )
