//! What a partition of the trades topic must become: judged record by record from the documented
//! rules alone, without the engine. Crypto symbols only, from our own producer: what may be wrong
//! with a record is other tests' business, what may happen to the processes is this one's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ticksmith::model::{FeedEvent, Trade};

use crate::bars::{Content, Sum};
use crate::story::{Connection, Known, Story};

const OUT_OF_ORDERNESS_MS: i64 = 2_000;

/// Symbol, interval and window start.
pub type Key = (String, &'static str, i64);

/// The run's intervals, shortest first, with their lengths in ms.
pub const INTERVALS: [(&str, i64); 3] = [("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000)];
/// The run's allowed lateness.
pub const LATENESS_MS: i64 = 120_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Merged,
    Repeat,
    NotOwner,
    /// The watermark, and where its shortest window stood.
    Late(i64, &'static str),
}

impl Ending {
    pub fn disposition(self) -> (&'static str, &'static str) {
        match self {
            Self::Merged => ("merged", ""),
            Self::Repeat => ("duplicate", "seq"),
            Self::NotOwner => ("duplicate", "not_owner"),
            Self::Late(..) => ("late", ""),
        }
    }

    pub fn is_silver(self) -> bool {
        matches!(self, Self::Merged | Self::Late(..))
    }
}

/// A trade of the topic and how it ended.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Index into `Partition::symbols`.
    pub symbol: u16,
    pub offset: i64,
    pub time: i64,
    pub connection: i64,
    pub seq: i64,
    pub price: f64,
    pub volume: f64,
    pub received_us: i64,
    pub ending: Ending,
}

#[derive(Debug)]
struct Window {
    sum: Sum,
    state: &'static str,
    /// Told with the last closed or corrected bar.
    told: Known,
    /// Inputs beside trades that changed it.
    others: i64,
    /// As it closed.
    closing: Option<Content>,
}

/// One partition, record by record.
#[derive(Debug)]
pub struct Partition {
    pub number: i32,
    pub story: Story,
    pub symbols: Vec<String>,
    indexes: HashMap<String, u16>,
    windows: BTreeMap<Key, Window>,
    /// By end, what the watermark has not passed yet.
    open: BTreeSet<(i64, Key)>,
    /// By the instant of their eviction, closed ones.
    kept: BTreeSet<(i64, Key)>,
    /// Closed ones that are not confirmed to their end.
    unsettled: BTreeSet<Key>,
    pub watermark: Option<i64>,
    pub trades: Vec<Judged>,
    /// Connection and number of each feed event, and its kind.
    pub events: Vec<(i64, i64, &'static str)>,
    /// Closed and corrected contents in order.
    pub emitted: BTreeMap<Key, Vec<Content>>,
    /// What changed after its closing, and why.
    pub history: BTreeMap<(Key, i64), (&'static str, Content)>,
    /// Offset after the last record.
    pub next_offset: i64,
}

impl Partition {
    pub fn new(number: i32, partitions: u32) -> Self {
        Self {
            number,
            story: Story::new(number, partitions, INTERVALS[0].1),
            symbols: Vec::new(),
            indexes: HashMap::new(),
            windows: BTreeMap::new(),
            open: BTreeSet::new(),
            kept: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            watermark: None,
            trades: Vec::new(),
            events: Vec::new(),
            emitted: BTreeMap::new(),
            history: BTreeMap::new(),
            next_offset: 0,
        }
    }

    /// A feed event.
    pub fn event(&mut self, event: &FeedEvent) {
        self.events.push((event.connection, event.seq, event.kind.as_str()));
        if self.pass_mark(event.connection, event.seq, &event.feed) {
            self.story.take(event);
            let kept: Vec<Key> = self.kept.iter().map(|(_, key)| key.clone()).collect();
            kept.iter().for_each(|key| self.tell_news(key));
            self.advance();
        }
    }

    /// A trade.
    pub fn trade(&mut self, offset: i64, trade: &Trade) {
        let ending = self.judge(offset, trade);
        let symbol = self.index_of(&trade.symbol);
        self.trades.push(Judged {
            symbol,
            offset,
            time: trade.trade_time_ms,
            connection: trade.connection,
            seq: trade.seq,
            price: trade.price,
            volume: trade.volume,
            received_us: trade.received_at_us,
            ending,
        });
    }

    fn index_of(&mut self, symbol: &str) -> u16 {
        if let Some(index) = self.indexes.get(symbol) {
            return *index;
        }
        let index = u16::try_from(self.symbols.len()).expect("a handful of symbols");
        self.symbols.push(symbol.to_owned());
        self.indexes.insert(symbol.to_owned(), index);
        index
    }

    fn known(&mut self, connection: i64) -> &mut Connection {
        self.story.connections.get_mut(&connection).expect("its mark was passed")
    }

    fn pass_mark(&mut self, connection: i64, seq: i64, feed: &str) -> bool {
        let known = self.story.connections.entry(connection);
        let known = known.or_insert_with(|| Connection::of(feed));
        let is_new = seq > known.mark;
        known.mark = known.mark.max(seq);
        is_new
    }

    fn judge(&mut self, offset: i64, trade: &Trade) -> Ending {
        if !self.pass_mark(trade.connection, trade.seq, &trade.feed) {
            return Ending::Repeat;
        }
        let is_other = |owner: &crate::story::Tenure| {
            owner.connection != trade.connection && trade.received_at_us > owner.since_us
        };
        if self.story.owner(&trade.symbol).is_some_and(is_other) {
            return Ending::NotOwner;
        }
        let time = trade.trade_time_ms;
        let ending = match self.watermark {
            Some(watermark) if time < watermark - LATENESS_MS => {
                Ending::Late(watermark, self.window_state(trade))
            }
            _ => Ending::Merged,
        };
        if ending == Ending::Merged {
            self.merge(offset, trade);
        }
        self.known(trade.connection).hear(Some(time));
        let unsettled: Vec<Key> = self.unsettled.iter().cloned().collect();
        unsettled.iter().for_each(|key| self.tell_news(key));
        let known = self.known(trade.connection);
        if known.feed_time.is_none_or(|newest| time > newest) {
            known.feed_time = Some(time);
            self.advance();
        }
        ending
    }

    /// Of the shortest window that a late trade would have belonged to.
    fn window_state(&self, trade: &Trade) -> &'static str {
        let (interval, length) = INTERVALS[0];
        let start = trade.trade_time_ms.div_euclid(length) * length;
        let key = (trade.symbol.to_string(), interval, start);
        match self.windows.get(&key) {
            Some(window) if self.watermark < Some(start + length + LATENESS_MS) => {
                if window.closing.is_some() { "closed" } else { "open" }
            }
            _ => "gone",
        }
    }

    fn merge(&mut self, offset: i64, trade: &Trade) {
        for (interval, length) in INTERVALS {
            let start = trade.trade_time_ms.div_euclid(length) * length;
            let key = (trade.symbol.to_string(), interval, start);
            match self.windows.get_mut(&key) {
                Some(window) => {
                    window.sum.add(offset, trade);
                    if window.closing.is_some() {
                        self.correct(&key, "late_trade");
                    }
                }
                None => {
                    let window = Window {
                        sum: Sum::new(offset, trade),
                        state: "provisional",
                        told: Known::default(),
                        others: 0,
                        closing: None,
                    };
                    self.open.insert((start + length, key.clone()));
                    self.windows.insert(key, window);
                }
            }
        }
        self.close_windows();
    }

    fn advance(&mut self) {
        let live = self.story.connections.values().filter(|known| known.live);
        let Some(slowest) = live.filter_map(|known| known.feed_time).min() else { return };
        let candidate = slowest - OUT_OF_ORDERNESS_MS;
        if self.watermark < Some(candidate) {
            self.watermark = Some(candidate);
            self.close_windows();
        }
    }

    fn close_windows(&mut self) {
        let Some(watermark) = self.watermark else { return };
        while self.open.first().is_some_and(|(end, _)| *end <= watermark) {
            let Some((end, key)) = self.open.pop_first() else { return };
            let told = self.known_of(&key);
            let window = self.windows.get_mut(&key).expect("an open window is there");
            (window.state, window.told) = ("closed", told);
            window.others += 1;
            let content = window.sum.content(length_of(&key), &told, "closed", window.others);
            window.closing = Some(content.clone());
            self.emitted.entry(key.clone()).or_default().push(content);
            self.kept.insert((end + LATENESS_MS, key.clone()));
            self.settle(&key, &told);
        }
        while self.kept.first().is_some_and(|(evicted, _)| *evicted <= watermark) {
            if let Some((_, key)) = self.kept.pop_first() {
                self.unsettled.remove(&key);
            }
        }
    }

    fn settle(&mut self, key: &Key, told: &Known) {
        if told.open > 0 {
            self.unsettled.insert(key.clone());
        } else {
            self.unsettled.remove(key);
        }
    }

    fn known_of(&self, key: &Key) -> Known {
        self.story.of_window(&key.0, key.2, key.2 + length_of(key))
    }

    /// Of a closed window that is kept.
    fn tell_news(&mut self, key: &Key) {
        let known = self.known_of(key);
        let window = self.windows.get_mut(key).expect("a kept window is there");
        if known.is_news_after(&window.told) {
            let why = if known.is_gap_after(&window.told) { "feed_gap" } else { "confirmed" };
            window.told = known;
            window.others += 1;
            self.settle(key, &known);
            self.correct(key, why);
        }
    }

    fn correct(&mut self, key: &Key, why: &'static str) {
        let window = self.windows.get_mut(key).expect("a kept window is there");
        if window.state != "corrected" {
            let closing = window.closing.clone().expect("it is closed");
            self.history.insert((key.clone(), closing.revision), ("closed", closing));
        }
        window.state = "corrected";
        let (told, others) = (window.told, window.others);
        let content = window.sum.content(length_of(key), &told, "corrected", others);
        self.history.insert((key.clone(), content.revision), (why, content.clone()));
        self.emitted.entry(key.clone()).or_default().push(content);
    }

    /// Every bar as it is at the end of the topic.
    pub fn final_bars(&self) -> BTreeMap<Key, Content> {
        let bar = |(key, window): (&Key, &Window)| {
            let is_open = window.closing.is_none();
            let told = if is_open { self.known_of(key) } else { window.told };
            let content = window.sum.content(length_of(key), &told, window.state, window.others);
            (key.clone(), content)
        };
        self.windows.iter().map(bar).collect()
    }
}

/// Of the key's interval, ms.
pub fn length_of(key: &Key) -> i64 {
    let found = INTERVALS.iter().find(|(interval, _)| *interval == key.1);
    found.expect("an interval of the run").1
}
