//! One good noun of each kind: what the encodings of the entries begin from.

use std::sync::LazyLock;

use ticksmith::codec::avro::Avro;
use ticksmith::model::{
    Accumulator, ActiveInterval, Bar, BarState, Candidate, ConnectionState, Disposition,
    ExclusionReason, FeedEvent, FeedEventKind, Interval, Judged, LateWindow, Lateness, Loss,
    Origin, OwnedSpan, PartitionMeta, PricePoint, Scope, Session, StateRecord, SymbolFeed, Tally,
    Told, Trade, Verdict, WindowState,
};

/// The instant around which everything happens, ms since the epoch: a Friday, 15:53 in New York.
pub const NOW_MS: i64 = 1_700_254_400_000;
pub const CONNECTION: i64 = NOW_MS * 1_000;

/// The codec without a registry. Making one parses every schema, so it is made once.
pub static AVRO: LazyLock<Avro> = LazyLock::new(Avro::single_object);

pub fn interval(text: &str) -> Interval {
    Interval::parse(text).expect("an interval")
}

pub fn trade() -> Trade {
    Trade {
        symbol: "AAPL".into(),
        price: 189.25,
        volume: 100.0,
        trade_time_ms: NOW_MS,
        conditions: Some(vec!["1".into(), "12".into()].into()),
        connection: CONNECTION,
        seq: 7,
        received_at_us: NOW_MS * 1_000 + 80_123,
        feed: "finnhub/0".into(),
    }
}

pub fn event(kind: FeedEventKind) -> FeedEvent {
    FeedEvent {
        kind,
        connection: CONNECTION,
        seq: 1,
        feed: "finnhub/0".into(),
        at_us: NOW_MS * 1_000,
        feed_time_ms: Some(NOW_MS),
        confirmed_at_us: Some(NOW_MS * 1_000),
        confirmed_feed_time_ms: Some(NOW_MS),
        symbols: vec!["AAPL".into(), "BINANCE:BTCUSDT".into()],
        lost_records: 0,
        detail: String::new(),
    }
}

pub fn point() -> PricePoint {
    PricePoint { price: 189.25, trade_time_ms: NOW_MS, connection: CONNECTION, seq: 7 }
}

pub fn bar() -> Bar {
    Bar {
        symbol: "AAPL".into(),
        interval: interval("5m"),
        window: interval("5m").window_of(NOW_MS),
        open: Some(point()),
        high: Some(point()),
        low: Some(point()),
        close: Some(point()),
        volume: "100.000000000000000001".parse().expect("an amount"),
        vwap: Some(189.25),
        trade_count: 3,
        excluded: [Default::default(); ExclusionReason::ALL.len()],
        session: Some(Session::Regular),
        coverage: Some(0.75),
        gap_ms: 75_000,
        verdict: Verdict::Partial,
        state: BarState::Corrected,
        revision: 4,
        generation: 1,
        conditions_version: 1,
        late_included: 0,
    }
}

pub fn late() -> Judged {
    Judged {
        trade: trade(),
        origin: Origin { partition: 0, offset: 99 },
        disposition: Disposition::Late,
        session: Some(Session::Regular),
        updates_last: true,
        updates_high_low: false,
        updates_volume: true,
        lateness: Some(Lateness {
            watermark_ms: NOW_MS + 700_000,
            late_by_ms: 700_000,
            window_start_ms: interval("5m").window_of(NOW_MS).start_ms,
            window: LateWindow::Gone,
        }),
        behind_ms: 700_000,
    }
}

/// The state of one partition of one, as an engine writes it.
pub fn states() -> [StateRecord; 4] {
    let candidate = Some(Candidate { point: point(), arrival: 5 });
    let connection = ConnectionState {
        connection: CONNECTION,
        feed: "finnhub/0".into(),
        mark: 7,
        live: true,
        feed_time_ms: Some(NOW_MS),
        ended_at_watermark_ms: None,
        ended_by: None,
        feed_offset_ms: Some(-80),
        confirmed_ms: Some(NOW_MS),
    };
    let meta = PartitionMeta {
        next_offset: 9,
        watermark_ms: Some(NOW_MS - 2_000),
        connections: vec![connection],
        dropped_up_to: 4,
        tally: Tally { merged: 3, duplicate: 2, rejected: 1, late: 1, control: 2 },
        consumed: 9,
        generation: 0,
        partition_count: 1,
        windows: Some(1),
        feeds: Some(1),
    };
    let feed = SymbolFeed {
        symbol: "AAPL".into(),
        spans: vec![OwnedSpan {
            connection: CONNECTION,
            since_us: CONNECTION,
            up_from_ms: Some(NOW_MS - 60_000),
        }],
        losses: vec![Loss { from_ms: NOW_MS - 5_000, to_ms: NOW_MS - 4_000 }],
    };
    let accumulator = Accumulator {
        first: candidate,
        last: candidate,
        high: candidate,
        low: candidate,
        volume: "300".parse().expect("an amount"),
        turnover: format!("56775{}", "0".repeat(36)).parse().expect("a turnover"),
        trade_count: 3,
        sessions: 1 << Session::Regular as u8,
        inputs: 3,
        ..Accumulator::default()
    };
    let window = WindowState {
        symbol: "AAPL".into(),
        interval: interval("5m"),
        start_ms: interval("5m").window_of(NOW_MS).start_ms,
        accumulator,
        closed: false,
        extra_revisions: 0,
        corrected: false,
        completeness: None,
    };
    let scope = Scope {
        intervals: vec![
            ActiveInterval { interval: interval("5m"), from_ms: None },
            ActiveInterval { interval: interval("1h"), from_ms: Some(NOW_MS - 7_200_000) },
        ],
        told: Some(Told { below_offset: 4, before_ms: NOW_MS }),
    };
    let (feed, window) = (StateRecord::Feed(feed), StateRecord::Window(window));
    [feed, window, StateRecord::Meta(meta), StateRecord::Scope(scope)]
}
