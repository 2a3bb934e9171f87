use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::model::{
    Accumulator, BarState, Candidate, Completeness, ConnectionState, Disposition, Exclusion,
    FeedEventKind, GapCause, Interval, LateWindow, Lateness, Loss, Origin, OwnedSpan,
    PartitionMeta, PricePoint, Session, SymbolFeed, Tally, Verdict, WindowState,
};

const IDS: WriterIds = WriterIds { trade: 11, silver: 12, bar: 13, late: 14 };

fn sample_trade() -> Trade {
    Trade {
        symbol: "BINANCE:XRPETH".into(),
        price: 0.00141342,
        volume: 23.0,
        trade_time_ms: 1_570_752_011_620,
        conditions: Some(vec!["1".into(), "12".into()].into()),
        connection: 1_570_752_000_000_001,
        seq: 7,
        received_at_us: 1_570_752_011_700_123,
        feed: "finnhub/0".into(),
    }
}

fn point(price: f64) -> PricePoint {
    PricePoint { price, trade_time_ms: 1_570_752_011_620, connection: 5, seq: 9 }
}

fn sample_bar() -> Bar {
    let interval = Interval::parse("5m").expect("valid");
    let mut excluded = [Exclusion::default(); 6];
    excluded[0] = Exclusion { volume: "0.5".parse().expect("amount"), count: 2 };
    excluded[4] = Exclusion { volume: "3".parse().expect("amount"), count: 1 };
    Bar {
        symbol: "AAPL".into(),
        interval,
        window: interval.window_of(1_570_752_011_620),
        open: Some(point(10.25)),
        high: Some(point(11.0)),
        low: Some(point(10.1)),
        close: None,
        volume: "123.000000000000000001".parse().expect("amount"),
        vwap: Some(10.5),
        trade_count: 17,
        excluded,
        session: Some(Session::Mixed),
        coverage: Some(0.75),
        gap_ms: 75_000,
        verdict: Verdict::Partial,
        state: BarState::Corrected,
        revision: 19,
        generation: 2,
        conditions_version: 3,
        late_included: 2,
    }
}

fn sample_late() -> Judged {
    Judged {
        trade: sample_trade(),
        origin: Origin { partition: 3, offset: 99 },
        disposition: Disposition::Late,
        session: Some(Session::Pre),
        updates_last: true,
        updates_high_low: false,
        updates_volume: true,
        lateness: Some(Lateness {
            watermark_ms: 7_000,
            late_by_ms: 900,
            window_start_ms: 6_000,
            window: LateWindow::Closed,
        }),
        behind_ms: 900,
    }
}

fn sample_event() -> FeedEvent {
    FeedEvent {
        kind: FeedEventKind::Subscribed,
        connection: 5,
        seq: 1,
        feed: "finnhub/0".into(),
        at_us: 1_570_752_011_620_001,
        feed_time_ms: None,
        confirmed_at_us: Some(4),
        confirmed_feed_time_ms: Some(-1),
        symbols: vec!["AAPL".into(), "MSFT".into()],
        lost_records: 3,
        detail: "as asked".into(),
    }
}

fn sample_states() -> Vec<StateRecord> {
    let interval = Interval::parse("1h").expect("valid");
    let candidate = |price| Some(Candidate { point: point(price), arrival: 77 });
    let mut excluded = [Exclusion::default(); 6];
    excluded[5] = Exclusion { volume: "0.000000000000000001".parse().expect("amount"), count: 1 };
    let accumulator = Accumulator {
        first: candidate(1.5),
        conditional_last: candidate(2.5),
        high: candidate(9.0),
        volume: "340282366920938463463.374607431768211455".parse().expect("amount"),
        turnover: "1".repeat(70).parse().expect("turnover"),
        trade_count: 4,
        excluded,
        sessions: 31,
        inputs: 5,
        ..Accumulator::default()
    };
    let connection = ConnectionState {
        connection: 5,
        feed: "finnhub/0".into(),
        mark: 1_000,
        live: true,
        feed_time_ms: Some(6),
        ended_at_watermark_ms: Some(4),
        ended_by: Some(GapCause::Silence),
        feed_offset_ms: Some(-120),
        confirmed_ms: Some(5),
    };
    vec![
        StateRecord::Meta(PartitionMeta {
            next_offset: 12,
            watermark_ms: Some(-3),
            connections: vec![connection],
            dropped_up_to: 4,
            tally: Tally { merged: 1, duplicate: 2, rejected: 3, late: 4, control: 5 },
            consumed: 15,
            generation: 1,
            partition_count: u32::MAX,
            windows: Some(7),
            feeds: Some(8),
        }),
        StateRecord::Feed(SymbolFeed {
            symbol: "A/B".into(),
            spans: vec![
                OwnedSpan { connection: 5, since_us: 8, up_from_ms: Some(-1) },
                OwnedSpan { connection: 6, since_us: 9, up_from_ms: None },
            ],
            losses: vec![Loss { from_ms: 3, to_ms: 3 }],
        }),
        StateRecord::Window(WindowState {
            symbol: "IC MARKETS:1".into(),
            interval,
            start_ms: 3_600_000,
            accumulator,
            closed: true,
            extra_revisions: 2,
            corrected: true,
            completeness: Some(Completeness {
                up_ms: Some(1),
                gap_ms: 2,
                unconfirmed_ms: 3,
                has_losses: true,
            }),
        }),
    ]
}

fn with_registry() -> Avro {
    Avro::with_registry(IDS, Box::new(|_| Ok(None)))
}

fn trade_bytes(avro: &Avro, trade: &Trade) -> Vec<u8> {
    let mut bytes = Vec::new();
    avro.encode_trade(trade, &mut bytes).expect("encodes");
    bytes
}

/// A datum written with a foreign schema by the vendor's own dynamic writer.
fn foreign_datum(schema: &str, fields: &[(&str, apache_avro::types::Value)]) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(schema).expect("schema");
    let mut record = apache_avro::types::Record::new(&schema).expect("record");
    for (name, value) in fields {
        record.put(name, value.clone());
    }
    apache_avro::writer::datum::GenericDatumWriter::builder(&schema)
        .build()
        .and_then(|writer| writer.write_value_to_vec(record))
        .expect("encodes")
}

fn framed(schema: &str, datum: &[u8]) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(schema).expect("schema");
    let [fingerprint, _] = super::schema::fingerprints_of(&schema);
    [&framing::single_object_header(fingerprint)[..], datum].concat()
}

fn is_definite<T: fmt::Debug>(result: &Result<T, Undecodable>) -> bool {
    matches!(result, Err(Undecodable::Definite(_)))
}

#[test]
fn every_record_round_trips_in_both_framings() {
    for (avro, first) in [(Avro::single_object(), 0xC3), (with_registry(), 0)] {
        let mut bytes = Vec::new();
        avro.encode_bar(&sample_bar(), &mut bytes).expect("encodes");
        assert_eq!(bytes[0], first);
        assert_eq!(avro.decode_bar(&bytes), Ok(sample_bar()));

        bytes.clear();
        avro.encode_late(&sample_late(), &mut bytes).expect("encodes");
        assert_eq!((bytes[0], avro.decode_late(&bytes)), (first, Ok(sample_late())));

        bytes.clear();
        avro.encode_silver(&sample_trade(), &mut bytes).expect("encodes");
        assert_eq!((bytes[0], avro.decode_trade(&bytes)), (first, Ok(sample_trade())));

        bytes.clear();
        avro.encode_feed_event(&sample_event(), &mut bytes).expect("encodes");
        assert_eq!((bytes[0], avro.decode_feed_event(&bytes)), (0xC3, Ok(sample_event())));
    }
}

#[test]
fn every_kind_of_event_and_every_symbol_of_a_bar_round_trips() {
    let avro = Avro::single_object();
    for kind in FeedEventKind::ALL {
        let (event, mut bytes) = (FeedEvent { kind, ..sample_event() }, Vec::new());
        avro.encode_feed_event(&event, &mut bytes).expect("encodes");
        assert_eq!(avro.decode_feed_event(&bytes), Ok(event));
    }
    for (index, session) in Session::ALL.iter().enumerate() {
        let mut bytes = Vec::new();
        let bar = Bar {
            session: Some(*session),
            state: BarState::ALL[index % BarState::ALL.len()],
            verdict: Verdict::ALL[index % Verdict::ALL.len()],
            ..sample_bar()
        };
        avro.encode_bar(&bar, &mut bytes).expect("encodes");
        assert_eq!(avro.decode_bar(&bytes), Ok(bar));
    }
}

#[test]
fn state_round_trips_and_eviction_is_a_tombstone() {
    let avro = with_registry();
    let keys = ["meta", "feed/A/B", "window/1h/3600000/IC MARKETS:1"];
    for (record, expected_key) in sample_states().into_iter().zip(keys) {
        let (key, value) = avro.encode_state(&record).expect("encodes");
        assert_eq!(String::from_utf8_lossy(&key), expected_key);
        let value = value.expect("a value");
        assert_eq!(value[..2], framing::SINGLE_OBJECT);
        assert_eq!(avro.decode_state(&key, &value), Ok(record));
    }
    let evicted = StateRecord::Evicted {
        symbol: "IC MARKETS:1".into(),
        interval: Interval::parse("1h").expect("valid"),
        start_ms: 3_600_000,
    };
    assert_eq!(avro.encode_state(&evicted), Ok((keys[2].into(), None)));
}

#[test]
fn a_state_that_cannot_be_read_names_its_key_in_one_line() {
    let avro = Avro::single_object();
    let (key, value) = avro.encode_state(&sample_states()[0]).expect("encodes");
    let value = value.expect("a value");
    let mut later = value.clone();
    later[10] = 6;
    for (key, value) in
        [(&key[..], &later[..]), (&key, b"{}"), (b"feed/A/B", &value), (b"x", &value)]
    {
        let error = avro.decode_state(key, value).expect_err("unreadable");
        let text = error.to_string();
        assert!(matches!(error, Error::Config(_)), "{text}");
        assert!(text.contains(&*String::from_utf8_lossy(key)) && !text.contains('\n'), "{text}");
    }
}

#[test]
fn a_trade_that_is_not_late_leaves_the_buffer_as_it_was() {
    let mut bytes = vec![1, 2];
    let judged = Judged { lateness: None, ..sample_late() };
    assert!(Avro::single_object().encode_late(&judged, &mut bytes).is_err());
    assert_eq!(bytes, [1, 2]);
}

#[test]
fn a_cut_or_extended_record_is_definitely_no_record() {
    for avro in [Avro::single_object(), with_registry()] {
        let whole = trade_bytes(&avro, &sample_trade());
        for length in 0..whole.len() {
            assert!(is_definite(&avro.decode_trade(&whole[..length])), "{length}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(is_definite(&avro.decode_trade(&longer)));
    }
}

/// Bytes made with fastavro 1.13 from the schema file, under the fingerprint of Java and fastavro,
/// and under the one of Avro's own Python library.
#[test]
fn records_of_foreign_libraries_are_read() {
    let datum = FASTAVRO_DATUM;
    for header in ["c3011493f056423b6e24", "c301955a84bff09790f7"] {
        let bytes = from_hex(&format!("{header}{datum}"));
        assert_eq!(Avro::single_object().decode_trade(&bytes), Ok(sample_trade()));
    }
    let ours = trade_bytes(&Avro::single_object(), &sample_trade());
    assert_eq!(ours, from_hex(&format!("c3011493f056423b6e24{datum}")));
}

const FASTAVRO_DATUM: &str = "1c42494e414e43453a58525045544807983b2b5028573f0000000000003740\
     c8f5ec81b75b02040231043132008280ecafe6a5ca050eb69e80bbe6a5ca051266696e6e6875622f30";

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |index| u8::from_str_radix(&text[index..index + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}

#[test]
fn a_record_of_another_kind_is_definitely_no_trade() {
    let (single, registered) = (Avro::single_object(), with_registry());
    let mut event = Vec::new();
    single.encode_feed_event(&sample_event(), &mut event).expect("encodes");
    assert!(is_definite(&single.decode_trade(&event)));
    let framed = trade_bytes(&registered, &sample_trade());
    assert!(is_definite(&single.decode_trade(&framed)), "no registry is configured");
    assert_eq!(registered.decode_trade(&trade_bytes(&single, &sample_trade())), Ok(sample_trade()));
}

const WITHOUT_FEED: &str = r#"{
    "type": "record", "name": "Trade", "namespace": "elsewhere", "fields": [
    {"name": "symbol", "type": "string"},
    {"name": "price", "type": "double"},
    {"name": "venue", "type": ["null", "string"], "default": null},
    {"name": "volume", "type": "int"},
    {"name": "trade_time", "type": "long"},
    {"name": "seq", "type": "long"},
    {"name": "connection", "type": "long"}
]}"#;

fn without_feed() -> (Vec<u8>, Trade) {
    use apache_avro::types::Value;
    let trade = sample_trade();
    let datum = foreign_datum(
        WITHOUT_FEED,
        &[
            ("symbol", trade.symbol.as_str().into()),
            ("price", trade.price.into()),
            ("venue", Value::Union(1, Box::new("X".into()))),
            ("volume", 23.into()),
            ("trade_time", trade.trade_time_ms.into()),
            ("seq", trade.seq.into()),
            ("connection", trade.connection.into()),
        ],
    );
    let expected = Trade { conditions: None, received_at_us: 0, feed: "".into(), ..trade };
    (datum, expected)
}

#[test]
fn another_writers_schema_is_resolved_by_fingerprint() {
    let (datum, expected) = without_feed();
    let bytes = framed(WITHOUT_FEED, &datum);
    let avro = Avro::single_object().knowing(WITHOUT_FEED).expect("a schema");
    assert_eq!(avro.decode_trade(&bytes), Ok(expected));
    assert!(is_definite(&Avro::single_object().decode_trade(&bytes)));
    assert!(is_definite(&avro.decode_trade(&[&bytes[..], &[0]].concat())));
    for length in 0..bytes.len() {
        assert!(is_definite(&avro.decode_trade(&bytes[..length])), "{length}");
    }
}

#[test]
fn another_writers_schema_is_fetched_by_id_and_only_once() {
    let (datum, expected) = without_feed();
    let bytes = [&[0, 0, 0, 0, 99][..], &datum].concat();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let avro = Avro::with_registry(
        IDS,
        Box::new(move |id| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok((id == 99).then(|| WITHOUT_FEED.to_owned()))
        }),
    );
    for _ in 0..3 {
        assert_eq!(avro.decode_trade(&bytes), Ok(expected.clone()));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let trade = trade_bytes(&avro, &sample_trade());
    assert_eq!(
        (&trade[..5], avro.decode_trade(&trade)),
        (&[0, 0, 0, 0, 11][..], Ok(sample_trade()))
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1, "our own ids are known");
    assert!(is_definite(&avro.decode_trade(&[0, 0, 0, 0, 98, 1, 2, 3])));
}

#[test]
fn a_registry_that_is_away_stalls_and_is_asked_again() {
    let (datum, expected) = without_feed();
    let bytes = [&[0, 0, 0, 0, 99][..], &datum].concat();
    let away = Error::Unavailable("registry is away".into());
    let (asked, answer) = (AtomicUsize::new(0), away.clone());
    let avro = Avro::with_registry(
        IDS,
        Box::new(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Err(answer.clone()),
            _ => Ok(Some(WITHOUT_FEED.to_owned())),
        }),
    );
    assert_eq!(avro.decode_trade(&bytes), Err(Undecodable::Stalled(away)));
    assert_eq!(avro.decode_trade(&bytes), Ok(expected));
}

/// A length far beyond the record must not be allocated first.
#[test]
fn an_announced_length_beyond_the_bound_is_refused() {
    let avro = Avro::single_object();
    let mut bytes = schema::trade().header().to_vec();
    bytes.extend_from_slice(&[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, b'A']);
    assert!(is_definite(&avro.decode_trade(&bytes)));
}

pub(super) fn any_trade() -> impl Strategy<Value = Trade> {
    // Of every length on the wire.
    let long = || (any::<i64>(), 0..i64::BITS).prop_map(|(any, bits)| any >> bits);
    let numbers = (any::<f64>(), any::<f64>(), long(), long(), long());
    let texts =
        (".{0,12}", ".{0,8}", proptest::option::of(proptest::collection::vec(".{0,3}", 0..5)));
    (numbers, texts, long()).prop_map(|(numbers, (symbol, feed, conditions), received)| {
        let (price, volume, trade_time_ms, connection, seq) = numbers;
        Trade {
            symbol: symbol.into(),
            price,
            volume,
            trade_time_ms,
            conditions: conditions.map(|codes| codes.into_iter().map(Into::into).collect()),
            connection,
            seq,
            received_at_us: received,
            feed: feed.into(),
        }
    })
}

proptest! {
    #[test]
    fn any_trade_round_trips_bit_for_bit(trade in any_trade()) {
        let avro = Avro::single_object();
        let bytes = trade_bytes(&avro, &trade);
        let back = avro.decode_trade(&bytes).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(back.price.to_bits(), trade.price.to_bits());
        prop_assert_eq!(trade_bytes(&avro, &back), bytes);
    }

    #[test]
    fn garbage_is_refused_or_decodes_to_something_but_never_panics(
        tail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let avro = Avro::single_object().knowing(WITHOUT_FEED).expect("a schema");
        let heads = [schema::trade(), schema::bar(), schema::late(), schema::feed_event()]
            .map(|own| own.header().to_vec());
        let foreign = framed(WITHOUT_FEED, &[]);
        for head in heads.iter().chain([&foreign, &Vec::new(), &vec![0, 0, 0, 0, 1]]) {
            let bytes = [&head[..], &tail].concat();
            drop(avro.decode_trade(&bytes));
            drop(avro.decode_bar(&bytes));
            drop(avro.decode_late(&bytes));
            drop(avro.decode_feed_event(&bytes));
        }
        for (key, own) in [
            (&b"meta"[..], schema::partition_state()),
            (b"scope", schema::partition_scope()),
            (b"feed/A/B", schema::symbol_feed()),
            (b"window/5m/0/A", schema::window_state()),
        ] {
            drop(avro.decode_state(key, &[&own.header()[..], &tail].concat()));
        }
    }

    #[test]
    fn a_flipped_byte_never_panics(position in 10usize..80, flip in 1u8..) {
        let avro = Avro::single_object();
        let mut bytes = trade_bytes(&avro, &sample_trade());
        if let Some(byte) = bytes.get_mut(position) {
            *byte ^= flip;
        }
        drop(avro.decode_trade(&bytes));
    }
}
