//! A state that an earlier version wrote is read, and gone on with; one of a later version is
//! refused with a sentence. `tests/fixtures/state/v<version>` has the bytes of a whole changelog.
//!
//! After a change of the encoding, which needs a new version, make its fixtures with
//! `TICKSMITH_WRITE_STATE=yes cargo test --test state_versions written_on_request`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use ticksmith::codec::avro::{Avro, STATE_VERSION};
use ticksmith::engine::{Engine, Input, Rules};
use ticksmith::error::Error;
use ticksmith::model::{Effects, FeedEvent, FeedEventKind, Interval, Origin, StateRecord, Trade};

/// Set when the fixtures of the current version are to be written.
const WRITE: &str = "TICKSMITH_WRITE_STATE";
const START_MS: i64 = 1_710_165_600_000;
const SECOND_MS: i64 = 1_000;
/// The state is that of this many minutes after the start.
const SAVED_AT_MIN: i64 = 26;
const END_AT_MIN: i64 = 90;
const SYMBOLS: [&str; 2] = ["AAPL", "BINANCE:BTCUSDT"];

type Changelog = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn rules() -> Arc<Rules> {
    let intervals = ["5m", "1h"].map(|text| Interval::parse(text).expect("valid"));
    Arc::new(Rules::with_intervals(intervals.to_vec()).expect("they fit"))
}

/// A log with what a state has to remember: two connections, of which one ended; a loss; odd lots
/// and prices that count only when there is no other; corrected bars; evicted windows.
#[derive(Default)]
struct Script {
    seqs: BTreeMap<i64, i64>,
    offset: i64,
}

impl Script {
    fn next(&mut self, connection: i64) -> (Origin, i64) {
        let seq = self.seqs.entry(connection).or_default();
        *seq += 1;
        self.offset += 1;
        (Origin { partition: 0, offset: self.offset - 1 }, *seq)
    }

    fn event(&mut self, kind: FeedEventKind, connection: i64, at_ms: i64) -> Input<'static> {
        let (origin, seq) = self.next(connection);
        let has_feed_time = !matches!(kind, FeedEventKind::Connected | FeedEventKind::Subscribed);
        let symbols = match kind {
            FeedEventKind::Subscribed => SYMBOLS.map(Into::into).to_vec(),
            FeedEventKind::DecodeLoss => vec!["AAPL".into()],
            _ => Vec::new(),
        };
        let event = FeedEvent {
            kind,
            connection,
            seq,
            feed: "fixture/0".into(),
            at_us: at_ms * 1_000 + 7,
            feed_time_ms: has_feed_time.then_some(at_ms),
            confirmed_at_us: has_feed_time.then_some((at_ms - 200) * 1_000),
            confirmed_feed_time_ms: has_feed_time.then_some(at_ms - 200),
            symbols,
            lost_records: i64::from(kind == FeedEventKind::DecodeLoss),
            detail: String::new(),
        };
        Input::Event { origin, event }
    }

    fn trade(&mut self, symbol: &'static str, connection: i64, at_ms: i64) -> Input<'static> {
        let (origin, seq) = self.next(connection);
        let codes = [&["1"][..], &["1", "12"], &["24"], &[]][(seq % 4) as usize];
        let behind_ms = if seq % 9 == 0 { 340 * SECOND_MS } else { seq % 3 * 400 };
        let trade = Trade {
            symbol: symbol.into(),
            price: 100.25 + (seq * 37 % 23) as f64 / 8.0,
            volume: 0.5 + (seq % 5) as f64,
            trade_time_ms: at_ms - behind_ms,
            conditions: Some(codes.iter().map(|code| (*code).into()).collect()),
            connection,
            seq,
            received_at_us: at_ms * 1_000 + 40_000,
            feed: "fixture/0".into(),
        };
        Input::Trade { origin, key: Some(symbol.as_bytes()), trade }
    }

    /// What comes in the minutes `from..to`, the second connection from the 24th on.
    fn minutes(&mut self, from: i64, to: i64) -> Vec<Input<'static>> {
        use FeedEventKind::{Connected, DecodeLoss, Disconnected, Heartbeat, Subscribed};
        let mut inputs = Vec::new();
        for second in (from * 60..to * 60).step_by(10) {
            let at_ms = START_MS + second * SECOND_MS;
            let connection = if second < 24 * 60 { 11 } else { 12 };
            match second {
                0 | 1_440 => {
                    inputs.push(self.event(Connected, connection, at_ms));
                    inputs.push(self.event(Subscribed, connection, at_ms));
                }
                1_120 => inputs.push(self.event(DecodeLoss, connection, at_ms)),
                1_380 => inputs.push(self.event(Disconnected, connection, at_ms)),
                1_390..1_440 => {}
                _ if second % 60 == 0 => inputs.push(self.event(Heartbeat, connection, at_ms)),
                _ => {
                    let symbol = SYMBOLS[(second / 10 % 2) as usize];
                    inputs.push(self.trade(symbol, connection, at_ms));
                }
            }
        }
        inputs
    }
}

/// An engine at the time of saving, and the rest of the script.
fn saved() -> (Engine, Vec<Input<'static>>) {
    let mut script = Script::default();
    let mut engine = Engine::new(rules(), 0, 1);
    let mut effects = Effects::default();
    for input in script.minutes(0, SAVED_AT_MIN) {
        engine.step(input, &mut effects);
    }
    (engine, script.minutes(SAVED_AT_MIN, END_AT_MIN))
}

fn changelog(engine: &mut Engine) -> Changelog {
    let mut records = Vec::new();
    engine.collect_state(&mut records).expect("conservation holds");
    let encode = |record: &StateRecord| Avro::single_object().encode_state(record);
    records.iter().map(|record| encode(record).expect("encodes")).collect()
}

/// Everything that an engine makes of the rest.
fn go_on(mut engine: Engine, rest: Vec<Input<'static>>) -> Effects {
    let mut effects = Effects::default();
    for input in rest {
        engine.step(input, &mut effects);
    }
    effects
}

fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/state").join(name)
}

/// The records of one fixture directory: `<n>.key`, and `<n>.value` unless it is a tombstone.
fn read(name: &str) -> Changelog {
    let directory = directory(name);
    let mut changelog = Changelog::new();
    for entry in fs::read_dir(&directory).expect("there are fixtures").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "key") {
            let value = fs::read(path.with_extension("value")).ok();
            changelog.insert(fs::read(&path).expect("readable"), value);
        }
    }
    assert!(changelog.len() > 1, "{} is empty", directory.display());
    changelog
}

/// Values only: what a log hands out.
fn decode(changelog: &Changelog) -> Vec<StateRecord> {
    let avro = Avro::single_object();
    let valued = changelog.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    valued.map(|(key, value)| avro.decode_state(key, value).expect("readable")).collect()
}

fn kind_of(key: &[u8]) -> String {
    let key = String::from_utf8_lossy(key);
    let depth = if key.starts_with("window/") { 2 } else { 1 };
    key.split('/').take(depth).collect::<Vec<_>>().join("/")
}

fn kinds(changelog: &Changelog) -> BTreeSet<String> {
    changelog.keys().map(|key| kind_of(key)).collect()
}

#[test]
fn every_version_has_every_kind_of_record() {
    let (mut engine, _) = saved();
    let saved_today = kinds(&changelog(&mut engine));
    let of_version_1 = ["feed", "meta", "window/1h", "window/5m"].map(str::to_owned);
    for version in 1..=STATE_VERSION {
        let kept = read(&format!("v{version}"));
        assert!(kinds(&kept).is_superset(&of_version_1.clone().into()), "version {version}");
        assert!(kept.values().any(Option::is_none), "version {version} has a tombstone");
        assert!(version < STATE_VERSION || kinds(&kept) == saved_today, "{saved_today:?}");
    }
}

#[test]
fn an_engine_goes_on_from_the_state_of_every_version() {
    for version in 1..=STATE_VERSION {
        let records = decode(&read(&format!("v{version}")));
        let restored = Engine::restore(rules(), 0, 1, records).expect("restored");
        let (uninterrupted, rest) = saved();
        assert_eq!(restored.watermark_ms(), uninterrupted.watermark_ms(), "version {version}");
        let (_, same_rest) = saved();
        let (expected, found) = (go_on(uninterrupted, rest), go_on(restored, same_rest));
        assert_eq!(found.bars, expected.bars, "version {version}");
        assert_eq!(found.revisions, expected.revisions, "version {version}");
        assert_eq!(found.gaps, expected.gaps, "version {version}");
        assert!(found.bars.len() > 20, "{} bars", found.bars.len());
    }
}

/// The bytes of the newest version are what is written today: whoever changes the encoding makes a
/// new version, and fixtures of it.
#[test]
fn the_encoding_does_not_change_without_a_new_version() {
    let avro = Avro::single_object();
    let name = format!("v{STATE_VERSION}");
    for (key, value) in read(&name) {
        let Some(value) = value else { continue };
        let shown = String::from_utf8_lossy(&key).into_owned();
        let record = avro.decode_state(&key, &value).expect("readable");
        assert_eq!(
            avro.encode_state(&record),
            Ok((key, Some(value))),
            "'{shown}' is no longer written as in tests/fixtures/state/{name}: raise VERSION in \
             src/codec/avro/state.rs, and do what tests/fixtures/state/README.md says"
        );
    }
}

/// Made of the newest fixtures: in the layout that we know, and in one that we do not.
#[test]
fn a_later_version_is_refused_and_named_with_the_remedy() {
    const VERSION_AT: usize = 10;
    const FINGERPRINT_AT: usize = 2;
    let later = STATE_VERSION + 5;
    let avro = Avro::single_object();
    for (key, value) in read(&format!("v{STATE_VERSION}")) {
        let Some(mut value) = value else { continue };
        value[VERSION_AT] = u8::try_from(later * 2).expect("a small number");
        let mut unknown_layout = value.clone();
        unknown_layout[FINGERPRINT_AT] ^= 1;
        for (key, value) in
            [(&key[..], &value), (&key, &unknown_layout), (b"a kind of its own", &value)]
        {
            let refused = avro.decode_state(key, value).expect_err("of the future");
            let Error::Config(text) = refused else { panic!("{refused:?}") };
            let reads = format!("this ticksmith reads versions 1 to {STATE_VERSION}");
            for words in [&format!("state version {later}"), &reads, "the newer one", "reset"] {
                assert!(text.contains(words), "'{words}' is not in: {text}");
            }
        }
    }
}

/// Development knew another shape under the name of version 1, which says nothing of the feed.
#[test]
fn the_shape_before_feed_events_is_refused_record_by_record() {
    let avro = Avro::single_object();
    for (key, value) in read("before_v1") {
        let shown = String::from_utf8_lossy(&key).into_owned();
        let refused = avro.decode_state(&key, &value.expect("a value"));
        let Err(Error::Config(text)) = refused else { panic!("{shown} was read: {refused:?}") };
        assert!(text.contains(&shown) && text.contains("ticksmith reset"), "{text}");
    }
}

/// Writes what does not exist yet. Bytes of a version that is in use are never changed; while one
/// is still being made, delete its directory first.
#[test]
fn fixtures_are_written_on_request() {
    if std::env::var_os(WRITE).is_none() {
        return;
    }
    let directory = directory(&format!("v{STATE_VERSION}"));
    assert!(!directory.exists(), "{} exists already: see the comment", directory.display());
    fs::create_dir_all(&directory).expect("made");
    let (mut engine, _) = saved();
    let avro = Avro::single_object();
    for (number, (key, value)) in changelog(&mut engine).into_iter().enumerate() {
        let record = value.as_ref().map(|value| avro.decode_state(&key, value).expect("readable"));
        let described = record.map_or("a tombstone".into(), |record| format!("{record:#?}"));
        let text = format!("{}\n\n{described}\n", String::from_utf8_lossy(&key));
        let path = |extension: &str| directory.join(format!("{number:02}.{extension}"));
        fs::write(path("key"), key).expect("written");
        fs::write(path("txt"), text).expect("written");
        if let Some(value) = value {
            fs::write(path("value"), value).expect("written");
        }
    }
}
