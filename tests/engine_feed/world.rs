//! A small world of two feeds with clocks of their own: what happens in it, and the log that an
//! honest producer writes of it. Whole seconds throughout.

use proptest::prelude::*;
use ticksmith::engine::{Engine, Input};
use ticksmith::model::{Effects, FeedEvent, FeedEventKind, Origin, Trade};

pub const START_MS: i64 = 1_700_000_000_000;
pub const SYMBOLS: [&str; 4] = ["BINANCE:A", "BINANCE:B", "KRAKEN:C", "KRAKEN:D"];
/// Producer's clock − feed time, s.
const CLOCKS_S: [i64; 2] = [7, -30];

/// What happens next; what makes no sense just then does not happen.
#[derive(Debug, Clone)]
pub enum Action {
    Wait {
        seconds: i64,
    },
    Connect {
        feed: usize,
        symbols: u8,
    },
    SubscribeAgain {
        feed: usize,
    },
    Trade {
        feed: usize,
        symbol: usize,
        delay_s: i64,
        volume: u32,
    },
    Ping {
        feed: usize,
    },
    Heartbeat {
        feed: usize,
    },
    End {
        feed: usize,
        kind: FeedEventKind,
    },
    /// The producer dies without a word.
    Kill {
        feed: usize,
    },
    Overflow {
        feed: usize,
        symbols: u8,
    },
    DecodeLoss {
        feed: usize,
        symbols: u8,
    },
}

pub fn actions() -> impl Strategy<Value = Vec<Action>> {
    let feed = 0usize..2;
    let ending = prop_oneof![
        Just(FeedEventKind::Disconnected),
        Just(FeedEventKind::Silence),
        Just(FeedEventKind::Released),
    ];
    let delay = prop_oneof![6 => 0i64..3, 2 => 3i64..120, 1 => 120i64..700];
    let trade = (feed.clone(), 0..SYMBOLS.len(), delay, 1u32..1_000);
    let trade = trade.prop_map(|(feed, symbol, delay_s, volume)| Action::Trade {
        feed,
        symbol,
        delay_s,
        volume,
    });
    let connect = (feed.clone(), 1u8..16);
    let connect = connect.prop_map(|(feed, symbols)| Action::Connect { feed, symbols });
    let end = (feed.clone(), ending).prop_map(|(feed, kind)| Action::End { feed, kind });
    let lossy = (feed.clone(), 0u8..16);
    let overflow = lossy.clone().prop_map(|(feed, symbols)| Action::Overflow { feed, symbols });
    let decode = lossy.prop_map(|(feed, symbols)| Action::DecodeLoss { feed, symbols });
    // The longest ones outlast every window and every mark.
    let wait = prop_oneof![16 => 1i64..8, 8 => 8i64..60, 2 => 60i64..400, 1 => 400i64..9_000];
    let action = prop_oneof![
        24 => wait.prop_map(|seconds| Action::Wait { seconds }),
        30 => trade,
        14 => feed.clone().prop_map(|feed| Action::Heartbeat { feed }),
        14 => feed.clone().prop_map(|feed| Action::Ping { feed }),
        7 => connect,
        4 => end,
        2 => feed.clone().prop_map(|feed| Action::Kill { feed }),
        3 => feed.prop_map(|feed| Action::SubscribeAgain { feed }),
        2 => overflow,
        2 => decode,
    ];
    prop::collection::vec(action, 1..250)
}

/// A record of the log: a trade goes to the partition of its symbol, an event to each.
#[derive(Debug, Clone)]
pub enum Record {
    Trade(Trade),
    Event(FeedEvent),
}

impl Record {
    /// Through the engine, at its place in the log.
    pub fn take(&self, origin: Origin, engine: &mut Engine, effects: &mut Effects) {
        match self.clone() {
            Record::Event(event) => engine.step(Input::Event { origin, event }, effects),
            Record::Trade(trade) => {
                let name = trade.symbol.clone();
                engine.step(Input::Trade { origin, key: Some(name.as_bytes()), trade }, effects)
            }
        };
    }
}

struct Connection {
    id: i64,
    seq: i64,
    symbols: Vec<String>,
    heard_s: i64,
    /// A trade has come, so feed time is known.
    is_dated: bool,
}

/// Writes the log of the actions.
#[derive(Default)]
struct World {
    now_s: i64,
    connections: [Option<Connection>; 2],
    next_id: i64,
    log: Vec<Record>,
}

pub fn log_of(actions: &[Action]) -> Vec<Record> {
    let mut world = World { next_id: 100, ..World::default() };
    for action in actions {
        world.act(action);
    }
    world.log
}

fn named(mask: u8) -> Vec<String> {
    let chosen = SYMBOLS.iter().enumerate().filter(|(index, _)| mask >> index & 1 == 1);
    chosen.map(|(_, name)| (*name).to_owned()).collect()
}

pub fn ms(seconds: i64) -> i64 {
    START_MS + seconds * 1_000
}

impl World {
    /// Every action takes a second at least: two things at one instant have no order in feed time.
    fn act(&mut self, action: &Action) {
        self.now_s += 1;
        match *action {
            Action::Wait { seconds } => self.now_s += seconds,
            Action::Connect { feed, symbols } => self.connect(feed, named(symbols)),
            Action::SubscribeAgain { feed } => self.subscribe(feed),
            Action::Trade { feed, symbol, delay_s, volume } => {
                self.trade(feed, symbol, delay_s, volume);
            }
            Action::Ping { feed } => self.hear(feed),
            Action::Heartbeat { feed } => self.tell(feed, FeedEventKind::Heartbeat, Vec::new()),
            Action::End { feed, kind } => {
                self.tell(feed, kind, Vec::new());
                self.connections[feed] = None;
            }
            Action::Kill { feed } => self.connections[feed] = None,
            Action::Overflow { feed, symbols } => {
                self.tell(feed, FeedEventKind::Overflow, named(symbols));
            }
            Action::DecodeLoss { feed, symbols } => {
                self.hear(feed);
                self.tell(feed, FeedEventKind::DecodeLoss, named(symbols));
            }
        }
    }

    fn connect(&mut self, feed: usize, symbols: Vec<String>) {
        let id = self.next_id;
        self.next_id += 1;
        let heard_s = self.now_s;
        let connection = Connection { id, seq: 0, symbols, heard_s, is_dated: false };
        self.connections[feed] = Some(connection);
        self.tell(feed, FeedEventKind::Connected, Vec::new());
        self.subscribe(feed);
    }

    fn subscribe(&mut self, feed: usize) {
        let Some(connection) = &self.connections[feed] else { return };
        let symbols = connection.symbols.clone();
        self.tell(feed, FeedEventKind::Subscribed, symbols);
    }

    fn hear(&mut self, feed: usize) {
        if let Some(connection) = &mut self.connections[feed] {
            connection.heard_s = self.now_s;
        }
    }

    fn tell(&mut self, feed: usize, kind: FeedEventKind, symbols: Vec<String>) {
        let now_s = self.now_s;
        let Some(connection) = &mut self.connections[feed] else { return };
        connection.seq += 1;
        let feed_time = |seconds| connection.is_dated.then(|| ms(seconds));
        self.log.push(Record::Event(FeedEvent {
            kind,
            connection: connection.id,
            seq: connection.seq,
            feed: format!("feed/{feed}"),
            at_us: ms(now_s + CLOCKS_S[feed]) * 1_000,
            feed_time_ms: feed_time(now_s),
            confirmed_at_us: Some(ms(connection.heard_s + CLOCKS_S[feed]) * 1_000),
            confirmed_feed_time_ms: feed_time(connection.heard_s),
            symbols,
            lost_records: 1,
            detail: String::new(),
        }));
    }

    /// Only what the connection subscribed comes; the first one is followed by a heartbeat.
    fn trade(&mut self, feed: usize, symbol: usize, delay_s: i64, volume: u32) {
        self.hear(feed);
        let now_s = self.now_s;
        let Some(connection) = &mut self.connections[feed] else { return };
        if !connection.symbols.iter().any(|name| name == SYMBOLS[symbol]) {
            return;
        }
        connection.seq += 1;
        self.log.push(Record::Trade(Trade {
            symbol: SYMBOLS[symbol].into(),
            price: 10.0,
            volume: f64::from(volume),
            trade_time_ms: ms(now_s - delay_s),
            conditions: None,
            connection: connection.id,
            seq: connection.seq,
            received_at_us: ms(now_s + CLOCKS_S[feed]) * 1_000,
            feed: format!("feed/{feed}").into(),
        }));
        if !std::mem::replace(&mut connection.is_dated, true) {
            self.tell(feed, FeedEventKind::Heartbeat, Vec::new());
        }
    }
}
