//! What became of the trades of the windows that differ: summed by what kept them out of a bar, or
//! what others may count differently, so that a difference can be laid to it.

use std::collections::BTreeMap;

use crate::engine::Numbered;
use crate::model::{Amount, Disposition, Element, FeedTrade, Frame, Interval, Judged, Trade};

/// Trades of a window that a source may treat in another way than we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Late,
    Rejected,
    SecondEncoding,
    /// Of frames that repeat the one before.
    Repeated,
    /// Their codes forbid volume.
    NotCounted,
    /// Volume 0.
    PriceUpdate,
    /// They add volume and set no price, odd lots for example.
    Priceless,
}

impl Group {
    pub const ALL: [Group; 7] = [
        Self::Late,
        Self::Rejected,
        Self::SecondEncoding,
        Self::Repeated,
        Self::NotCounted,
        Self::PriceUpdate,
        Self::Priceless,
    ];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Rejected => "rejected",
            Self::SecondEncoding => "second_encodings",
            Self::Repeated => "repeated",
            Self::NotCounted => "not_counted",
            Self::PriceUpdate => "price_updates",
            Self::Priceless => "without_price",
        }
    }

    /// For people, after "exactly".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Late => "the late trades",
            Self::Rejected => "the rejected trades",
            Self::SecondEncoding => "the trades dropped as second encodings",
            Self::Repeated => "the trades of repeated frames (see --drop-repeats)",
            Self::NotCounted => "the trades whose codes forbid volume",
            Self::PriceUpdate => "the updates of volume 0",
            Self::Priceless => "the trades that set no price, such as odd lots",
        }
    }
}

/// Trades added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub count: i64,
    pub volume: Amount,
}

impl Sum {
    fn add(&mut self, volume: f64) {
        self.count += 1;
        // What is no amount cannot be added; the count still tells of it.
        let sum = Amount::from_f64(volume).and_then(|volume| self.volume.checked_add(volume));
        self.volume = sum.unwrap_or(self.volume);
    }
}

/// By `Group as usize`.
pub(super) type Sums = [Sum; Group::ALL.len()];

/// Collects while the frames are read once more.
#[derive(Debug)]
pub(super) struct SecondLook {
    interval: Interval,
    windows: BTreeMap<i64, Sums>,
}

impl SecondLook {
    /// `starts`: the windows to look into, ms.
    pub fn into_windows(interval: Interval, starts: impl Iterator<Item = i64>) -> Self {
        Self { interval, windows: starts.map(|start_ms| (start_ms, Sums::default())).collect() }
    }

    pub fn sums_of(&self, start_ms: i64) -> Sums {
        self.windows.get(&start_ms).copied().unwrap_or_default()
    }

    fn add(&mut self, group: Group, trade_time_ms: i64, volume: f64) {
        let start_ms = self.interval.window_of(trade_time_ms).start_ms;
        if let Some(sums) = self.windows.get_mut(&start_ms) {
            sums[group as usize].add(volume);
        }
    }

    /// A trade that the engine has judged; `is_repeated`: its frame repeats the one before.
    pub fn judged(&mut self, judged: &Judged, is_repeated: bool) {
        let (time_ms, volume) = (judged.trade.trade_time_ms, judged.trade.volume);
        match judged.disposition {
            Disposition::Rejected(_) => return self.add(Group::Rejected, time_ms, volume),
            _ if !judged.updates_volume => return self.add(Group::NotCounted, time_ms, volume),
            Disposition::Late => return self.add(Group::Late, time_ms, volume),
            Disposition::Merged | Disposition::Duplicate(_) => {}
        }
        if is_repeated {
            self.add(Group::Repeated, time_ms, volume);
        }
        if volume == 0.0 {
            self.add(Group::PriceUpdate, time_ms, volume);
        }
        if !judged.updates_last && !judged.updates_high_low {
            self.add(Group::Priceless, time_ms, volume);
        }
    }

    /// What the intake kept back of a frame: the trades that are not among the numbered ones.
    pub fn kept_back(&mut self, group: Group, symbol: &str, sent: &Frame, numbered: &[Numbered]) {
        let Frame::Trades(elements) = sent else { return };
        let mut numbered = numbered.iter().filter_map(|record| match record {
            Numbered::Trade(trade) => Some(trade),
            Numbered::Event(_) => None,
        });
        let mut next = numbered.next();
        for element in elements {
            let Element::Trade(trade) = element else { continue };
            if next.is_some_and(|numbered| is_same(trade, numbered)) {
                next = numbered.next();
            } else if trade.symbol == symbol {
                self.add(group, trade.trade_time_ms, trade.volume);
            }
        }
    }
}

/// Numbering keeps the order, and leaves everything else as it was sent.
fn is_same(sent: &FeedTrade, numbered: &Trade) -> bool {
    sent.trade_time_ms == numbered.trade_time_ms
        && sent.price == numbered.price
        && sent.volume == numbered.volume
        && sent.symbol == numbered.symbol
        && sent.conditions == numbered.conditions
}
