//! The topics after the run: the trades topic judged by the oracle, and what the stream wrote held
//! against that, as readers of committed records see it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use ticksmith::codec::avro::Avro;
use ticksmith::model::{StateRecord, Trade};

use crate::bars::Content;
use crate::differences::Differences;
use crate::harness::World;
use crate::oracle::{Ending, INTERVALS, Judged, Key, Partition};

pub const PARTITIONS: u32 = 6;
/// A server that says nothing for so long is gone.
const SILENT: Duration = Duration::from_secs(60);

/// Reads one partition to its end.
pub fn read(world: &World, topic: &str, partition: i32, mut take: impl FnMut(&BorrowedMessage)) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", world.setting("KAFKA__BOOTSTRAP"))
        .set("group.id", format!("{}-oracle", world.name()))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("queued.max.messages.kbytes", "16384")
        .create()
        .expect("a Kafka client");
    let mut list = TopicPartitionList::new();
    let name = world.setting(&format!("TOPICS__{topic}"));
    list.add_partition_offset(name, partition, Offset::Beginning).expect("an offset");
    consumer.assign(&list).expect("assigned");
    loop {
        match consumer.poll(SILENT).unwrap_or_else(|| panic!("{name} does not answer")) {
            Ok(message) => take(&message),
            Err(KafkaError::PartitionEOF(_)) => return,
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

fn header<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a [u8]> {
    message.headers()?.iter().find(|header| header.key == name)?.value
}

/// A partition of the trades topic, judged.
pub fn judge(world: &World, avro: &Avro, number: i32) -> Partition {
    let mut partition = Partition::new(number, PARTITIONS);
    read(world, "TRADES", number, |message| {
        partition.next_offset = message.offset() + 1;
        match message.payload() {
            Some(value) => {
                let trade = avro.decode_trade(value).expect("the producer writes trades");
                assert_eq!(message.key(), Some(trade.symbol.as_bytes()), "key of {trade:?}");
                partition.trade(message.offset(), &trade);
            }
            None => {
                let event = header(message, "ticksmith-feed-event").expect("a feed event");
                partition.event(&avro.decode_feed_event(event).expect("a feed event"));
            }
        }
    });
    partition
}

/// Everything that the stream wrote of this partition.
pub fn check(world: &World, avro: &Avro, judged: &Partition, found: &mut Differences) {
    check_silver(world, avro, judged, found);
    check_late(world, avro, judged, found);
    check_bars(world, avro, judged, found);
    check_changelog(world, avro, judged, found);
    read(world, "REJECTED", judged.number, |message| {
        found.add(format!("topic rejected: a record at {}", message.offset()));
    });
}

fn is_trade(judged: &Partition, one: &Judged, trade: &Trade) -> bool {
    judged.symbols[usize::from(one.symbol)] == trade.symbol
        && (one.connection, one.seq) == (trade.connection, trade.seq)
        && (one.price, one.volume) == (trade.price, trade.volume)
        && (one.time, one.received_us) == (trade.trade_time_ms, trade.received_at_us)
}

/// Silver of a partition is that of the same partition of trades, in the same order.
fn check_silver(world: &World, avro: &Avro, judged: &Partition, found: &mut Differences) {
    let mut expected = judged.trades.iter().filter(|one| one.ending.is_silver());
    let mut compared = 0;
    read(world, "SILVER", judged.number, |message| {
        let trade = avro.decode_trade(message.payload().unwrap_or_default()).expect("a trade");
        compared += 1;
        match expected.next() {
            Some(one) if is_trade(judged, one, &trade) => {}
            one => found.add(format!("topic silver: {trade:?}, the oracle says {one:?}")),
        }
    });
    let missing = expected.count();
    found.add_many(missing, "topic silver: records missing at the end");
    found.compared("silver topic", compared);
}

fn check_late(world: &World, avro: &Avro, judged: &Partition, found: &mut Differences) {
    let late = |one: &&Judged| matches!(one.ending, Ending::Late(..));
    let mut expected = judged.trades.iter().filter(late);
    let mut compared = 0;
    read(world, "LATE", judged.number, |message| {
        let value = avro.decode_late(message.payload().unwrap_or_default()).expect("a late trade");
        compared += 1;
        let lateness = value.lateness.expect("it is late");
        let said = Ending::Late(lateness.watermark_ms, lateness.window.as_str());
        let start = lateness.window_start_ms;
        match expected.next() {
            Some(one)
                if is_trade(judged, one, &value.trade)
                    && one.ending == said
                    && (value.origin.partition, value.origin.offset)
                        == (judged.number, one.offset)
                    && lateness.late_by_ms == lateness.watermark_ms - one.time
                    && start == one.time.div_euclid(INTERVALS[0].1) * INTERVALS[0].1 => {}
            one => found.add(format!("topic late: {value:?}, the oracle says {one:?}")),
        }
    });
    found.add_many(expected.count(), "topic late: records missing at the end");
    found.compared("late topic", compared);
}

/// Every closed and corrected content of every bar, in order; and its newest as drained.
fn check_bars(world: &World, avro: &Avro, judged: &Partition, found: &mut Differences) {
    let mut by_key: BTreeMap<Key, Vec<Content>> = BTreeMap::new();
    let mut compared = 0;
    read(world, "BARS", judged.number, |message| {
        let bar = avro.decode_bar(message.payload().unwrap_or_default()).expect("a bar");
        compared += 1;
        let text = bar.interval.to_string();
        let interval = INTERVALS.iter().find(|(interval, _)| *interval == text);
        match (interval, Content::of(&bar)) {
            (Some((interval, _)), Some(content)) => {
                let key = (bar.symbol.to_string(), *interval, bar.window.start_ms);
                by_key.entry(key).or_default().push(content);
            }
            _ => found.add(format!("topic bars: {bar:?} is of another kind")),
        }
    });
    let bars = judged.final_bars();
    for key in by_key.keys().filter(|key| !bars.contains_key(*key)) {
        found.add(format!("topic bars: {key:?} should not be there"));
    }
    for (key, last) in &bars {
        let said = by_key.get(key).map_or(&[][..], Vec::as_slice);
        let told: Vec<&Content> = said.iter().filter(|one| one.state != "provisional").collect();
        let expected = judged.emitted.get(key).map_or(&[][..], Vec::as_slice);
        if told.len() != expected.len() {
            let counts = (told.len(), expected.len());
            found.add(format!("topic bars {key:?}: {} contents, wanted {}", counts.0, counts.1));
        }
        for (content, wanted) in told.iter().zip(expected) {
            found.compare(|| format!("topic bars {key:?}"), wanted, content);
        }
        match said.last() {
            Some(content) => found.compare(|| format!("topic bars {key:?}, last"), last, content),
            None => found.add(format!("topic bars: {key:?} is missing")),
        }
    }
    found.compared("bars topic", compared);
}

/// The stream's own books.
fn check_changelog(world: &World, avro: &Avro, judged: &Partition, found: &mut Differences) {
    let mut book = None;
    read(world, "CHANGELOG", judged.number, |message| {
        if let (Some(b"meta"), Some(value)) = (message.key(), message.payload())
            && let Ok(StateRecord::Meta(meta)) = avro.decode_state(b"meta", value)
        {
            book = Some(meta);
        }
    });
    let Some(book) = book else {
        found.add(format!("changelog: partition {} has no meta record", judged.number));
        return;
    };
    let count = |word: &str| {
        let of = |one: &&Judged| one.ending.disposition().0 == word;
        judged.trades.iter().filter(of).count() as i64
    };
    let tally = book.tally;
    let said = (tally.merged, tally.duplicate, tally.rejected, tally.late, tally.control);
    let events = judged.events.len() as i64;
    let wanted = (count("merged"), count("duplicate"), 0, count("late"), events);
    if said != wanted || book.next_offset != judged.next_offset {
        let (offset, end) = (book.next_offset, judged.next_offset);
        let number = judged.number;
        found.add(format!(
            "changelog: partition {number} {said:?} to {offset}, wanted {wanted:?} to {end}"
        ));
    }
}
