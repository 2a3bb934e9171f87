//! The Kafka log keeps the promises of the log port, on a real cluster.
//!
//! Needs a broker: `make infra-up`, then TICKSMITH_TEST_KAFKA=localhost:9092.

mod conformance;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use conformance::log::{self as suite, CHILD, Follower, PARTITIONS, Seen, World};
use figment::Figment;
use figment::providers::{Format, Toml};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use ticksmith::config::{Config, DEFAULTS, Guarantee};
use ticksmith::error::Error;
use ticksmith::kafka::topics::{TopicState, ensure};
use ticksmith::kafka::{KafkaLogFactory, KafkaPublisher};
use ticksmith::model::partition_for_key;
use ticksmith::port::{Clock, LogFactory, Publisher, Topic};
use ticksmith::runtime::SystemClock;

const WITHIN: Duration = Duration::from_secs(30);

fn bootstrap() -> String {
    std::env::var("TICKSMITH_TEST_KAFKA").expect(
        "TICKSMITH_TEST_KAFKA is not set: start a broker with `make infra-up` and set it to \
         host:port",
    )
}

/// Topics and group of a name that no other test or run uses.
struct Kafka {
    name: String,
    config: Config,
}

/// Short sessions, so that a killed member is missed within seconds.
fn config(name: &str) -> Config {
    let mut config: Config =
        Figment::from(Toml::string(DEFAULTS)).extract().expect("defaults parse");
    config.kafka.bootstrap = bootstrap();
    config.kafka.group = name.to_owned();
    config.kafka.session_timeout_ms = 3000;
    config.kafka.transaction_timeout_ms = 2000;
    config.topics.partitions = PARTITIONS;
    config.topics.trades = format!("{name}-trades");
    config.topics.silver = format!("{name}-silver");
    config.topics.late = format!("{name}-late");
    config.topics.rejected = format!("{name}-rejected");
    config.topics.bars = format!("{name}-bars");
    config.topics.changelog = format!("{name}-changelog");
    config
}

impl Kafka {
    fn new(case: &str) -> Self {
        let name = format!("{}-{:08x}", case.replace('_', "-"), rand::random::<u32>());
        let config = config(&name);
        ensure(&config).expect("topics");
        Self { name, config }
    }

    fn topic(&self, topic: Topic) -> &str {
        let topics = &self.config.topics;
        match topic {
            Topic::Trades => &topics.trades,
            Topic::Silver => &topics.silver,
            Topic::Late => &topics.late,
            Topic::Rejected => &topics.rejected,
            Topic::Bars => &topics.bars,
            Topic::Changelog => &topics.changelog,
        }
    }

    fn open(&self) -> Result<Box<dyn ticksmith::port::Log>, Error> {
        KafkaLogFactory::new(&self.config, Arc::new(SystemClock))?.open()
    }

    fn refusal(&self) -> Error {
        self.open().map(|_| ()).expect_err("refused")
    }
}

impl World for Kafka {
    fn publisher(&mut self) -> Box<dyn Publisher> {
        Box::new(KafkaPublisher::connect(&self.config, Arc::new(SystemClock)).expect("a publisher"))
    }
    fn factory(&mut self) -> Box<dyn LogFactory> {
        Box::new(KafkaLogFactory::new(&self.config, Arc::new(SystemClock)).expect("a factory"))
    }
    fn committed(&mut self, topic: Topic, partition: i32) -> Vec<Seen> {
        read_committed(&self.config.kafka.bootstrap, self.topic(topic), partition)
    }
    fn release(&mut self) {}
    fn address(&self) -> String {
        self.name.clone()
    }
}

/// Reads a partition with a client that shares nothing with the adapter.
fn read_committed(bootstrap: &str, topic: &str, partition: i32) -> Vec<Seen> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "a-test-reader")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .create()
        .expect("a reader");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    reader.assign(&list).expect("assigned");
    let mut seen = Vec::new();
    loop {
        match reader.poll(WITHIN).expect("the broker answers") {
            Err(KafkaError::PartitionEOF(_)) => return seen,
            Err(error) => panic!("{topic}: {error}"),
            Ok(message) => seen.push(Seen {
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: message.headers().map_or(Vec::new(), |headers| {
                    let value = |v: Option<&[u8]>| v.unwrap_or_default().to_vec();
                    headers.iter().map(|h| (h.key.to_owned(), value(h.value))).collect()
                }),
            }),
        }
    }
}

macro_rules! cases {
    ($($case:ident),+ $(,)?) => {$(
        #[test]
        fn $case() {
            suite::$case(&mut Kafka::new(stringify!($case)));
        }
    )+};
}

cases! {
    keeps_order_per_key_and_partition,
    hands_out_the_event_header_of_null_values_only,
    commits_records_state_and_offsets_together,
    reads_on_while_a_beat_is_committed,
    a_session_that_is_closed_in_a_commit_leaves_no_half_of_it,
    leaves_nothing_of_a_beat_that_failed,
    forgets_what_was_not_committed,
    replays_after_a_seek,
    tells_when_a_record_was_written,
    restores_the_newest_values_without_tombstones,
    fences_an_older_session_of_the_same_process,
    wakes_a_waiting_poll,
    a_commit_under_way_when_partitions_move_counts_once,
}

#[test]
fn survives_kill_9() {
    suite::survives_kill_9(&mut Kafka::new("survives_kill_9"), "child_that_is_killed", 3);
}

/// Does nothing unless `survives_kill_9` started it.
#[test]
fn child_that_is_killed() {
    let Ok(name) = std::env::var(CHILD) else { return };
    let factory = KafkaLogFactory::new(&config(&name), Arc::new(SystemClock));
    suite::commit_until_killed(&mut factory.expect("a factory"));
}

#[test]
fn at_least_once_commits_and_resumes() {
    let mut world = Kafka::new("at_least_once");
    world.config.stream.guarantee = Guarantee::AtLeastOnce;
    suite::commits_records_state_and_offsets_together(&mut world);
}

#[test]
fn two_members_own_disjoint_partitions_and_hand_over() {
    let mut world = Kafka::new("two_members");
    suite::publish(&mut world, 0..200);
    let mut first = Follower::joined(&mut *world.factory());
    let got = first.poll_records(200);
    let beat = first.beat(&got);
    first.log.commit(beat).expect("committed");
    let mut second = Follower::new(world.factory().open().expect("a second process"));
    let owned = |follower: &Follower| follower.next.keys().copied().collect::<BTreeSet<_>>();
    // Both have to poll for the group to settle, as two processes would.
    for _ in 0..600 {
        assert!(first.poll(100).expect("polled").is_empty(), "all of it was committed");
        assert!(second.poll(100).expect("polled").is_empty(), "and the state moved along");
        if owned(&first).len() + owned(&second).len() == PARTITIONS as usize
            && !owned(&second).is_empty()
        {
            break;
        }
    }
    assert!(!owned(&first).is_empty() && !owned(&second).is_empty());
    assert!(owned(&first).is_disjoint(&owned(&second)));
    first.log.close();
    drop(first);
    second.poll_until(|second, _| second.next.len() == PARTITIONS as usize);
    assert_eq!(second.state.values().map(suite::count_in).sum::<i64>(), 200);
    suite::publish(&mut world, 200..260);
    assert_eq!(second.poll_records(60).len(), 60);
}

/// A process that sleeps too long is thrown out of the group; its client library learns that in the
/// background and forgets its membership. The commit must still carry the membership under which
/// the records were read: without one, the broker would take it from anybody.
#[test]
fn a_member_that_lost_its_partitions_commits_nothing() {
    let mut world = Kafka::new("zombie");
    world.config.kafka.max_poll_interval_ms = 3000;
    suite::publish(&mut world, 0..100);
    let mut zombie = Follower::joined(&mut *world.factory());
    let got = zombie.poll_records(100);
    let beat = zombie.beat(&got);
    let mut heir = Follower::joined(&mut *world.factory());
    let inherited = heir.poll_records(100);
    let refused = zombie.log.commit(beat).expect_err("no longer a member");
    assert!(matches!(refused, Error::Rejoin(_) | Error::Restore(_)), "{refused:?}");
    let beat = heir.beat(&inherited);
    heir.log.commit(beat).expect("committed by the heir");
    let silver = (0..PARTITIONS as i32).map(|p| world.committed(Topic::Silver, p).len());
    assert_eq!(silver.sum::<usize>(), 100, "and by nobody else");
}

/// A transaction of a foreign producer in silver and changelog, flushed and left open.
fn open_transaction(world: &Kafka, timeout_ms: u32) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", format!("{}-dangling", world.name))
        .set("transaction.timeout.ms", timeout_ms.to_string())
        .create()
        .expect("a producer");
    producer.init_transactions(WITHIN).expect("transactions");
    producer.begin_transaction().expect("begun");
    for topic in [Topic::Silver, Topic::Changelog] {
        let record = BaseRecord::to(world.topic(topic)).partition(0).key("count").payload("999");
        producer.send(record).map_err(|(error, _)| error).expect("queued");
    }
    producer.flush(WITHIN).expect("written");
    producer
}

#[test]
fn aborted_and_dangling_state_is_not_restored() {
    let mut world = Kafka::new("dangling");
    suite::publish(&mut world, 0..90);
    let mut follower = Follower::joined(&mut *world.factory());
    let got = follower.poll_records(90);
    let beat = follower.beat(&got);
    follower.log.commit(beat).expect("committed");
    follower.log.close();
    drop(follower);
    let aborted = open_transaction(&world, 60_000);
    aborted.abort_transaction(WITHIN).expect("aborted");
    let dangling = open_transaction(&world, 1500);
    // Restoring waits until the broker has given up the open transaction.
    let follower = Follower::joined(&mut *world.factory());
    assert_eq!(follower.state.values().map(suite::count_in).sum::<i64>(), 90);
    assert!(world.committed(Topic::Silver, 0).iter().all(|s| s.value != Some("999".into())));
    drop(dangling);
}

#[test]
fn a_restore_that_waits_for_a_dead_transaction_stays_a_member() {
    let mut world = Kafka::new("patient");
    world.config.kafka.max_poll_interval_ms = 3000;
    let mut follower = Follower::joined(&mut *world.factory());
    let dangling = open_transaction(&world, 8000);
    let began = Instant::now();
    follower.take_up(&[0, 1, 2]);
    assert!(began.elapsed() > Duration::from_secs(4), "longer than a poll may take");
    suite::publish(&mut world, 0..30);
    follower.poll_records(30);
    assert_eq!(follower.assignments, 2, "its own two, and it was not thrown out meanwhile");
    drop(dangling);
}

#[test]
fn transaction_markers_at_the_end_count_as_passed() {
    let mut world = Kafka::new("markers");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", format!("{}-foreign", world.name))
        .create()
        .expect("a producer");
    producer.init_transactions(WITHIN).expect("transactions");
    for keep in [true, false] {
        producer.begin_transaction().expect("begun");
        let record = BaseRecord::to(world.topic(Topic::Trades)).partition(0).key("k").payload("v");
        producer.send(record).map_err(|(error, _)| error).expect("queued");
        producer.flush(WITHIN).expect("written");
        match keep {
            true => producer.commit_transaction(WITHIN).expect("committed"),
            false => producer.abort_transaction(WITHIN).expect("aborted"),
        }
    }
    let mut follower = Follower::joined(&mut *world.factory());
    let end = follower.log.end_offset(0).expect("an end");
    assert_eq!(end, 4, "two records and two markers");
    let got = follower.poll_until(|_, got| !got.is_empty());
    assert_eq!(got.len(), 1);
    for _ in 0..600 {
        if follower.log.position(0).expect("a position") == end {
            return;
        }
        assert!(follower.poll(10).expect("polled").is_empty());
    }
    panic!("position {} never reached {end}", follower.log.position(0).expect("a position"));
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap()).create().expect("an admin client")
}

fn block_on<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(answer)
}

#[test]
fn topics_are_created_once_and_differences_are_told() {
    let mut world = Kafka::new("topics");
    let again = ensure(&world.config).expect("asked again");
    assert_eq!(again.len(), 7, "those of records and the leases");
    assert!(again.iter().all(|report| report.state == TopicState::AsWanted), "{again:?}");
    world.config.topics.partitions = 5;
    world.config.topics.trades_retention_hours = 1;
    let differing = ensure(&world.config).expect("asked once more");
    let TopicState::Differs(differences) = &differing[0].state else { panic!("{differing:?}") };
    let told: Vec<_> = differences.iter().map(|d| (&*d.setting, &*d.wanted, &*d.found)).collect();
    assert_eq!(told, [("partitions", "5", "3"), ("retention.ms", "3600000", "604800000")]);
    assert_eq!(differing[0].partitions, 3, "nothing was changed");
}

#[test]
fn missing_topics_are_named() {
    let mut world = Kafka::new("missing");
    world.config.topics.bars = "no-such-bars".into();
    let Error::Config(text) = world.refusal() else { panic!("a matter of configuration") };
    assert!(text.contains("'no-such-bars'") && text.contains("ticksmith topics"), "{text}");
}

#[test]
fn a_changed_partition_count_is_refused() {
    let world = Kafka::new("partitions");
    let more = NewPartitions::new(&world.config.topics.trades, 5);
    block_on(admin().create_partitions([&more], &AdminOptions::new())).expect("more partitions");
    let mut text = String::new();
    // The broker tells the new count a moment later.
    for _ in 0..600 {
        if let Err(error) = world.open() {
            text = error.to_string();
            break;
        }
    }
    assert!(text.contains("has 5 partitions") && text.contains("has 3"), "{text}");
}

#[test]
fn a_compacted_trades_topic_is_refused() {
    let mut world = Kafka::new("compacted");
    world.config.topics.trades = world.config.topics.changelog.clone();
    let Error::Config(text) = world.refusal() else { panic!("a matter of configuration") };
    assert!(text.contains("cleanup.policy=compact"), "{text}");
}

/// Restores what is assigned and reads on at `offset` of one partition.
fn read_on_at(world: &Kafka, partition: i32, offset: i64) -> Result<(), Error> {
    let mut log = world.open().expect("a session");
    for _ in 0..600 {
        let polled = log.poll(10, Duration::from_millis(100), &mut |_| Ok(()))?;
        for owned in polled.assignment.unwrap_or_default() {
            let restored = log.restore(owned, &mut |_, _| Ok(()), &mut |_| {})?;
            let is_meant = owned == partition;
            if is_meant {
                assert_eq!((restored.log_start, restored.log_end), (7, 30), "as Kafka has it");
            }
            log.seek(owned, if is_meant { offset } else { restored.log_start })?;
        }
    }
    panic!("nothing was said of offset {offset}");
}

/// librdkafka would read on elsewhere if it was let.
#[test]
fn a_position_that_the_log_does_not_have_is_told() {
    let mut world = Kafka::new("truncated");
    let partition = partition_for_key(b"S1", PARTITIONS);
    let mut publisher = world.publisher();
    let trades = (0..30).map(|n| suite::trade("S1", &n.to_string())).collect();
    publisher.publish(trades).expect("published");
    publisher.flush(WITHIN).expect("flushed");
    let mut gone = TopicPartitionList::new();
    let name = world.topic(Topic::Trades);
    gone.add_partition_offset(name, partition, Offset::Offset(7)).expect("an offset");
    block_on(admin().delete_records(&gone, &AdminOptions::new())).expect("deleted");
    for offset in [5, 31] {
        let error = read_on_at(&world, partition, offset).expect_err("that record is not there");
        let text = error.to_string();
        assert!(matches!(error, Error::Restore(_)), "{error:?}");
        assert!(text.contains(world.topic(Topic::Trades)), "{text}");
    }
}

/// A clock that a test moves.
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    fn monotonic_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn partitions_added_while_running_stop_publisher_and_session() {
    let mut world = Kafka::new("added");
    // The member looks for new partitions this often.
    world.config.kafka.properties = vec!["topic.metadata.refresh.interval.ms=500".into()];
    let clock = Arc::new(HandClock(AtomicI64::new(0)));
    let mut publisher = KafkaPublisher::connect(&world.config, clock.clone()).expect("connected");
    let mut follower = Follower::joined(&mut *world.factory());
    let more = NewPartitions::new(world.topic(Topic::Trades), 5);
    block_on(admin().create_partitions([&more], &AdminOptions::new())).expect("more partitions");
    let told = |error: Error| {
        let text = error.to_string();
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        for words in [world.topic(Topic::Trades), "3 partitions", "has 5 now", "new topics"] {
            assert!(text.contains(words), "'{words}' is not in: {text}");
        }
    };
    let refusal = |mut call: Box<dyn FnMut() -> Result<(), Error> + '_>| {
        (0..600).find_map(|_| call().err()).expect("refused within a minute")
    };
    told(refusal(Box::new(|| follower.poll(10).map(drop))));
    told(refusal(Box::new(|| {
        clock.0.fetch_add(60_000_000, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(100));
        publisher.publish(Vec::new()).map(drop)
    })));
}

#[test]
fn an_absent_broker_is_named() {
    let mut config = config("absent");
    config.kafka.bootstrap = "localhost:1".into();
    let mut factory = KafkaLogFactory::new(&config, Arc::new(SystemClock)).expect("a factory");
    let error = factory.open().map(|_| ()).expect_err("nobody is there");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("localhost:1") && text.contains("make infra-up"), "{text}");
}
