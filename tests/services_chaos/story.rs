//! How far a partition's log vouches for each symbol, from the documented rules
//! (docs/semantics/completeness.md): nothing is ever forgotten here, and what is asked for is
//! worked out anew from the whole story. Times are ms of feed time.

use std::collections::BTreeMap;

use ticksmith::model::{FeedEvent, FeedEventKind, partition_for_key};

const STALE_LIMIT_MS: i64 = 3_600_000;
const FOREVER: i64 = 1 << 62;

#[derive(Debug, Clone, Default)]
pub struct Connection {
    pub feed: String,
    pub mark: i64,
    pub live: bool,
    pub ended_by: Option<&'static str>,
    pub feed_time: Option<i64>,
    /// Newest feed time at which it was heard of.
    heard: Option<i64>,
    /// Feed time − producer's clock.
    offset: Option<i64>,
}

impl Connection {
    pub fn of(feed: &str) -> Self {
        Self { feed: feed.to_owned(), ..Self::default() }
    }

    pub fn hear(&mut self, time: Option<i64>) {
        if self.ended_by.is_none() {
            self.heard = self.heard.max(time);
        }
    }
}

/// A connection's ownership of a symbol, from its subscription on.
#[derive(Debug, Clone)]
pub struct Tenure {
    pub connection: i64,
    pub since_us: i64,
    start: Option<i64>,
}

/// What is known of a window; `up` is `None` where nobody had asked for the symbol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    pub up: Option<i64>,
    pub gap: i64,
    pub open: i64,
    lossy: bool,
}

impl Known {
    pub fn verdict(&self) -> &'static str {
        match self.up {
            None => "unknown",
            Some(_) if self.gap > 0 || self.lossy => "partial",
            Some(_) if self.open > 0 => "unknown",
            Some(_) => "complete",
        }
    }

    /// Something is missing that was not told, or the other way round.
    pub fn is_gap_after(&self, told: &Known) -> bool {
        let claimed_more = told.up.is_some() && self.up < told.up;
        claimed_more || (told.gap, told.lossy) != (self.gap, self.lossy)
    }

    pub fn is_news_after(&self, told: &Known) -> bool {
        let first = told.up.is_none() != self.up.is_none();
        first || self.is_gap_after(told) || (self.open == 0 && told != self)
    }
}

/// Symbol, start, connection and cause of a gap.
pub type GapKey = (String, i64, i64, &'static str);
/// Its end, the connection after it, the records lost.
pub type Gap = (Option<i64>, Option<i64>, i64);

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Up,
    Open,
}

struct Stretch {
    start: i64,
    end: i64,
    part: Part,
    connection: i64,
}

#[derive(Debug)]
pub struct Story {
    pub connections: BTreeMap<i64, Connection>,
    tenures: BTreeMap<String, Vec<Tenure>>,
    losses: BTreeMap<String, Vec<(i64, i64)>>,
    pub gaps: BTreeMap<GapKey, Gap>,
    partition: i32,
    partitions: u32,
    /// Length of the shortest interval.
    grain: i64,
}

impl Story {
    pub fn new(partition: i32, partitions: u32, grain: i64) -> Self {
        Self {
            connections: BTreeMap::new(),
            tenures: BTreeMap::new(),
            losses: BTreeMap::new(),
            gaps: BTreeMap::new(),
            partition,
            partitions,
            grain,
        }
    }

    fn is_live(&self, connection: i64) -> bool {
        self.connections.get(&connection).is_some_and(|known| known.live)
    }

    pub fn owner(&self, symbol: &str) -> Option<&Tenure> {
        self.tenures.get(symbol)?.last()
    }

    /// When somebody first asked for the symbol; `None`: nobody did, or it is not dated.
    pub fn asked_from(&self, symbol: &str) -> Option<i64> {
        self.tenures.get(symbol)?.first()?.start
    }

    /// An event whose number was not there before.
    pub fn take(&mut self, event: &FeedEvent) {
        let before = self.all_gaps();
        if event.kind == FeedEventKind::Connected {
            self.end_predecessors(event);
        }
        let known = self.connections.get_mut(&event.connection).expect("its mark was passed");
        known.hear(event.confirmed_feed_time_ms);
        let mut is_dated = false;
        if let (None, Some(feed_time)) = (known.ended_by, event.feed_time_ms) {
            is_dated = known.offset.is_none();
            known.offset = Some(feed_time - event.at_us.div_euclid(1_000));
        }
        self.live_or_end(event);
        let known = self.connections.get_mut(&event.connection).expect("its mark was passed");
        if event.kind == FeedEventKind::Heartbeat {
            known.feed_time = known.feed_time.max(event.feed_time_ms);
        }
        if is_dated {
            self.date(event.connection);
        }
        match event.kind {
            FeedEventKind::Subscribed if self.is_live(event.connection) => self.subscribe(event),
            FeedEventKind::Overflow | FeedEventKind::DecodeLoss => self.lose(event),
            _ => {}
        }
        self.note_gaps(&before);
    }

    /// A key has one connection: a newer one of the same feed ends the older.
    fn end_predecessors(&mut self, event: &FeedEvent) {
        for (number, other) in &mut self.connections {
            if other.live && other.feed == event.feed && *number < event.connection {
                (other.live, other.ended_by) = (false, Some("producer_lost"));
            }
        }
    }

    fn live_or_end(&mut self, event: &FeedEvent) {
        use FeedEventKind::{Disconnected, Released, Silence};
        // What a producer had queued before another one took its key: over from the start.
        let mut later = self.connections.range(event.connection + 1..);
        let is_over = later.any(|(_, other)| other.live && other.feed == event.feed);
        let known = self.connections.get_mut(&event.connection).expect("its mark was passed");
        if known.ended_by.is_some() {
            return;
        }
        if matches!(event.kind, Disconnected | Released | Silence) {
            (known.live, known.ended_by) = (false, Some(event.kind.as_str()));
        } else if !known.live {
            known.live = !is_over;
            known.ended_by = is_over.then_some("producer_lost");
        }
    }

    fn subscribe(&mut self, event: &FeedEvent) {
        let number = event.connection;
        for symbol in &event.symbols {
            if partition_for_key(symbol.as_bytes(), self.partitions) != self.partition {
                continue;
            }
            let owner = self.owner(symbol).map(|owner| owner.connection);
            if owner.is_some_and(|one| one == number || one > number && self.is_live(one)) {
                continue;
            }
            let tenure = Tenure { connection: number, since_us: event.at_us, start: None };
            self.tenures.entry(symbol.clone()).or_default().push(tenure);
            let start = event.feed_time_ms.or_else(|| self.by_clock(symbol, number, event.at_us));
            self.start_newest(symbol, start);
        }
    }

    fn start_newest(&mut self, symbol: &str, start: Option<i64>) {
        let tenures = &self.tenures[symbol];
        let heard_to = self.heard_to(&tenures[..tenures.len() - 1]);
        if let Some(start) = start
            && let Some(newest) = self.tenures.get_mut(symbol).and_then(|all| all.last_mut())
        {
            newest.start = Some(start.max(heard_to));
        }
    }

    /// Feed time − producer's clock on the connection before, of the same feed.
    fn clock_of_feed(&self, number: i64) -> Option<i64> {
        let feed = &self.connections[&number].feed;
        let before = self.connections.range(..number).rev().map(|(_, known)| known);
        before.filter(|known| known.feed == *feed).find_map(|known| known.offset)
    }

    fn by_clock(&self, symbol: &str, number: i64, at_us: i64) -> Option<i64> {
        let others = self.tenures[symbol].iter().rev().filter(|one| one.connection != number);
        let mut others = others.map(|one| self.connections[&one.connection].offset);
        let offset = self.clock_of_feed(number).or_else(|| others.find_map(|offset| offset))?;
        Some(at_us.div_euclid(1_000) + offset)
    }

    /// The last sign of these.
    fn heard_to(&self, tenures: &[Tenure]) -> i64 {
        let stretches = self.stretches(tenures);
        let ups = stretches.iter().filter(|one| one.part == Part::Up).map(|one| one.end);
        ups.max().unwrap_or(-FOREVER)
    }

    /// The connection's first feed time dates what it subscribed before.
    fn date(&mut self, number: i64) {
        let own = self.connections[&number].offset.expect("it was just dated");
        let fresh = |before: &i64| (0..=STALE_LIMIT_MS).contains(&(before - own));
        let offset = self.clock_of_feed(number).filter(fresh).unwrap_or(own);
        let symbols: Vec<String> = self.tenures.keys().cloned().collect();
        for symbol in symbols {
            let tenures = self.tenures.get_mut(&symbol).expect("it is one of its keys");
            let Some(first) = tenures.iter().position(|one| one.connection == number) else {
                continue;
            };
            let floor = tenures[first].since_us.div_euclid(1_000) + offset;
            for one in &mut tenures[first..] {
                if one.connection == number || one.start.is_none() {
                    one.start = Some((one.since_us.div_euclid(1_000) + offset).max(floor));
                }
            }
            let newest = tenures.last_mut().expect("one is the connection's");
            if newest.connection != number {
                continue;
            }
            let start = newest.since_us.div_euclid(1_000) + offset;
            newest.start = Some(start);
            let previous = tenures.len().checked_sub(2).map(|at| tenures[at].connection);
            if previous.is_some_and(|previous| !self.is_live(previous)) {
                self.start_newest(&symbol, Some(start));
            }
        }
    }

    fn lose(&mut self, event: &FeedEvent) {
        let hit = |one: &String| event.symbols.is_empty() || event.symbols.contains(one);
        let symbols: Vec<String> = self.tenures.keys().filter(|one| hit(one)).cloned().collect();
        for symbol in symbols {
            let tenures = &self.tenures[&symbol];
            let Some(last) = tenures.iter().rposition(|one| one.connection == event.connection)
            else {
                continue;
            };
            let Some(mut end) = event.feed_time_ms else {
                // Nothing is vouched for before it.
                if last + 1 == tenures.len() && tenures[last].since_us < event.at_us {
                    self.tenures.get_mut(&symbol).expect("there")[last].since_us = event.at_us;
                    let start = self.by_clock(&symbol, event.connection, event.at_us);
                    self.start_newest(&symbol, start);
                }
                continue;
            };
            let mut start = end;
            if event.kind == FeedEventKind::Overflow {
                start = event.confirmed_feed_time_ms.unwrap_or(end).min(end);
            }
            let later = tenures[last + 1..].iter().filter_map(|one| one.start);
            end = later.min().unwrap_or(FOREVER).min(end);
            if start <= end {
                self.note_loss(symbol, start, end, event);
            }
        }
    }

    fn note_loss(&mut self, symbol: String, start: i64, end: i64, event: &FeedEvent) {
        let grain = self.grain;
        let losses = self.losses.entry(symbol.clone()).or_default();
        // One at an instant is noted once a window, and not at all inside a longer one.
        let same = |(a, b): &(i64, i64)| {
            a == b && a.div_euclid(grain) == start.div_euclid(grain) || *a <= start && start < *b
        };
        if start == end && losses.iter().any(same) {
            return;
        }
        losses.push((start, end));
        let key = (symbol, start, event.connection, event.kind.as_str());
        self.gaps.insert(key, (Some(end), None, event.lost_records));
    }

    /// In order, apart.
    fn stretches(&self, tenures: &[Tenure]) -> Vec<Stretch> {
        let mut found = Vec::new();
        let (mut heard_to, mut open_to) = (-FOREVER, -FOREVER);
        for (at, one) in tenures.iter().enumerate() {
            let known = &self.connections[&one.connection];
            let connection = one.connection;
            let taken = tenures[at + 1..].iter().filter_map(|next| next.start).min();
            let taken = taken.unwrap_or(FOREVER);
            let mut start = one.start.map_or(heard_to, |start| start.max(heard_to));
            if let (Some(heard), Some(_)) = (known.heard, one.start) {
                heard_to = heard.min(taken).max(start);
                found.push(Stretch { start, end: heard_to, part: Part::Up, connection });
                start = heard_to;
            }
            start = start.max(open_to);
            if known.live && start < taken {
                found.push(Stretch { start, end: taken, part: Part::Open, connection });
                open_to = taken;
            }
        }
        found
    }

    pub fn of_window(&self, symbol: &str, start: i64, end: i64) -> Known {
        let stretches = self.stretches(self.tenures.get(symbol).map_or(&[], Vec::as_slice));
        let of = |part| stretches.iter().filter(move |one| one.part == part);
        let ups: Vec<(i64, i64)> = of(Part::Up).map(|one| (one.start, one.end)).collect();
        if ups.first().is_none_or(|first| end <= first.0) {
            return Known::default();
        }
        let inside = |a: i64, b: i64| (b.min(end) - a.max(start)).max(0);
        let open: i64 = of(Part::Open).map(|one| inside(one.start, one.end)).sum();
        let losses = self.losses.get(symbol).map_or(&[][..], Vec::as_slice);
        let up: i64 = minus(ups, losses).into_iter().map(|(a, b)| inside(a, b)).sum();
        let hit = |(a, b): &(i64, i64)| *a < end && (*b > start || a == b && *a == start);
        let lossy = losses.iter().any(hit);
        Known { up: Some(up), gap: end - start - up - open, open, lossy }
    }

    /// What is live and was not heard of yet ends no gap.
    fn gaps_of(&self, symbol: &str, found: &mut BTreeMap<GapKey, (Option<i64>, Option<i64>)>) {
        let counts = |one: &&Tenure| {
            let known = &self.connections[&one.connection];
            known.offset.is_some() || !known.live
        };
        let tenures: Vec<Tenure> = self.tenures[symbol].iter().filter(counts).cloned().collect();
        let stretches = self.stretches(&tenures);
        let first = stretches.iter().position(|one| one.part == Part::Up);
        let stretches = stretches.into_iter().enumerate();
        let mut counted: Vec<Stretch> = stretches
            .filter(|(at, one)| one.start < one.end || Some(*at) == first)
            .map(|(_, one)| one)
            .collect();
        counted.sort_by_key(|one| one.start);
        for (at, one) in counted.iter().enumerate() {
            let after = counted.get(at + 1);
            if one.end < after.map_or(FOREVER, |after| after.start) {
                let cause = self.connections[&one.connection].ended_by.unwrap_or("takeover");
                let key = (symbol.to_owned(), one.end, one.connection, cause);
                found.insert(key, (after.map(|a| a.start), after.map(|a| a.connection)));
            }
        }
    }

    fn all_gaps(&self) -> BTreeMap<GapKey, (Option<i64>, Option<i64>)> {
        let mut found = BTreeMap::new();
        self.tenures.keys().for_each(|symbol| self.gaps_of(symbol, &mut found));
        found
    }

    /// Rows as they stand after an event that found the gaps `before`.
    fn note_gaps(&mut self, before: &BTreeMap<GapKey, (Option<i64>, Option<i64>)>) {
        let now = self.all_gaps();
        for key in before.keys().filter(|key| !now.contains_key(*key)) {
            self.gaps.insert(key.clone(), (Some(key.1), None, 0));
        }
        for (key, ends) in &now {
            if before.get(key) != Some(ends) {
                self.gaps.insert(key.clone(), (ends.0, ends.1, 0));
            }
        }
    }
}

/// The stretches without the times that were lost.
fn minus(mut stretches: Vec<(i64, i64)>, losses: &[(i64, i64)]) -> Vec<(i64, i64)> {
    for (start, end) in losses {
        let cut = |(a, b): (i64, i64)| {
            if *start < b && a < *end {
                vec![(a, b.min(*start)), (a.max(*end), b)]
            } else {
                vec![(a, b)]
            }
        };
        stretches = stretches.into_iter().flat_map(cut).filter(|(a, b)| a < b).collect();
    }
    stretches
}
