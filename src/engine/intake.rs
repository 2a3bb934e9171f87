//! From frames to numbered trades and feed events of one connection: identity is given here, at the
//! socket, and what the feed repeats is taken out here, because nothing later can tell a repeat
//! from two equal trades. `producer` runs it live, `verify` offline.

use compact_str::CompactString;

use crate::model::{
    Arrival, Element, FeedEvent, FeedEventKind, FeedTrade, Frame, MalformedElement, RejectReason,
    Trade,
};

mod second_encoding;

use second_encoding::mark_second_encodings;

/// The symbols of a connection are told again this often, µs: whoever reads only the last hours of
/// a log, or of the stored events, still learns who owns what.
pub const SUBSCRIBED_AGAIN_EVERY_US: i64 = 3_600_000_000;
/// A smaller frame may well repeat by chance: genuine prints do.
const LEAST_REPEATED_ELEMENTS: usize = 3;

/// What an intake is made for.
#[derive(Debug, Clone)]
pub struct IntakeConfig {
    /// The connection's id.
    pub connection: i64,
    /// Producer name and key slot, for example `finnhub/0`.
    pub feed: CompactString,
    /// Drop a frame of three or more elements that repeats the one before it, or only count it.
    pub drop_repeats: bool,
    /// A trade further ahead of both its arrival and the feed's time does not move feed time, ms.
    pub future_bound_ms: i64,
}

/// Something that took a seq of its connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbered {
    Trade(Trade),
    /// Goes to every partition.
    Event(FeedEvent),
}

/// What could not be a trade, for `trades-rejected`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// `MalformedFrame` or `MalformedElement`.
    pub reason: RejectReason,
    pub connection: i64,
    pub feed: String,
    /// Running number of the frame on its connection, from 1.
    pub frame: i64,
    pub received_at_us: i64,
    /// The frame's or the element's text as received.
    pub raw: String,
    /// One clause for people.
    pub problem: String,
}

/// What happened, summed since the output was last cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntakeCounts {
    /// Frames of every kind.
    pub frames: u64,
    pub pings: u64,
    pub error_frames: u64,
    /// Trades numbered.
    pub trades: u64,
    /// Frames that repeated the one before, three elements or more: dropped, or kept when told so.
    pub repeats_dropped: u64,
    pub repeats_kept: u64,
    /// Elements in the dropped ones.
    pub repeated_elements_dropped: u64,
    /// Smaller frames that repeated the one before: delivered.
    pub suspicious_repeats: u64,
    /// Elements dropped as the second encoding of others in their frame.
    pub second_encodings: u64,
    pub malformed_frames: u64,
    pub malformed_elements: u64,
    /// Numbers sent with more digits than a double keeps.
    pub inexact_numbers: u64,
}

impl IntakeCounts {
    /// Every count with its name, for metrics and progress lines.
    pub fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("frames", self.frames),
            ("pings", self.pings),
            ("error_frames", self.error_frames),
            ("trades", self.trades),
            ("repeats_dropped", self.repeats_dropped),
            ("repeats_kept", self.repeats_kept),
            ("repeated_elements_dropped", self.repeated_elements_dropped),
            ("suspicious_repeats", self.suspicious_repeats),
            ("second_encodings", self.second_encodings),
            ("malformed_frames", self.malformed_frames),
            ("malformed_elements", self.malformed_elements),
            ("inexact_numbers", self.inexact_numbers),
        ]
    }
}

/// What an intake appends to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IntakeOutput {
    /// In order of seq.
    pub records: Vec<Numbered>,
    pub rejections: Vec<Rejection>,
    pub counts: IntakeCounts,
}

impl IntakeOutput {
    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.rejections.clear();
        self.counts = IntakeCounts::default();
    }
}

/// The intake of one connection.
#[derive(Debug)]
pub struct Intake {
    config: IntakeConfig,
    next_seq: i64,
    frames: i64,
    previous_frame: String,
    newest: Option<NewestTrade>,
    confirmed: Option<Arrival>,
    symbols: Vec<String>,
    subscribed_at_us: i64,
}

#[derive(Debug, Clone, Copy)]
struct NewestTrade {
    trade_time_ms: i64,
    received_monotonic_us: i64,
}

impl Intake {
    pub fn new(config: IntakeConfig) -> Self {
        Self {
            config,
            next_seq: 1,
            frames: 0,
            previous_frame: String::new(),
            newest: None,
            confirmed: None,
            symbols: Vec::new(),
            subscribed_at_us: 0,
        }
    }

    /// The id of the connection that it numbers for.
    pub fn connection(&self) -> i64 {
        self.config.connection
    }

    /// Newest accepted trade time plus the monotonic time since its receipt, ms since the epoch.
    pub fn feed_time_ms(&self, monotonic_us: i64) -> Option<i64> {
        let newest = self.newest?;
        let since_us = (monotonic_us - newest.received_monotonic_us).max(0);
        Some(newest.trade_time_ms.saturating_add(since_us / 1_000))
    }

    /// Feed time of the last sign of life, ms since the epoch; `None` before the first trade.
    pub fn confirmed_feed_time_ms(&self) -> Option<i64> {
        self.confirmed.and_then(|at| self.feed_time_ms(at.monotonic_us))
    }

    /// Takes one message: `frame` is what the codec made of `raw`.
    pub fn accept_frame(
        &mut self,
        raw: &str,
        frame: Frame,
        arrival: Arrival,
        out: &mut IntakeOutput,
    ) {
        self.frames += 1;
        out.counts.frames += 1;
        self.confirm(arrival);
        match frame {
            Frame::Trades(elements) => self.accept_elements(raw, elements, arrival, out),
            Frame::Ping => out.counts.pings += 1,
            Frame::Error { .. } => out.counts.error_frames += 1,
            Frame::Malformed { problem } => self.reject_frame(raw, problem, arrival, out),
        }
    }

    /// The connection gave a sign of life that is no frame (a ping of the WebSocket protocol).
    pub fn confirm(&mut self, arrival: Arrival) {
        self.confirmed = Some(arrival);
    }

    fn accept_elements(
        &mut self,
        raw: &str,
        elements: Vec<Element>,
        arrival: Arrival,
        out: &mut IntakeOutput,
    ) {
        if self.is_dropped_repeat(raw, elements.len(), out) {
            return;
        }
        let repeated = mark_second_encodings(&elements);
        let had_feed_time = self.newest.is_some();
        let mut malformed = Vec::new();
        for (element, is_repeated) in elements.into_iter().zip(repeated) {
            match element {
                Element::Trade(_) if is_repeated => out.counts.second_encodings += 1,
                Element::Trade(trade) => self.number(trade, arrival, out),
                Element::Malformed(element) => malformed.push(element),
            }
        }
        if !had_feed_time && self.newest.is_some() {
            // Every partition learns at once what time it is on this connection.
            self.heartbeat(arrival, out);
        }
        if !malformed.is_empty() {
            self.reject_elements(malformed, arrival, out);
        }
    }

    fn is_dropped_repeat(&mut self, raw: &str, elements: usize, out: &mut IntakeOutput) -> bool {
        if raw != self.previous_frame {
            self.previous_frame.clear();
            self.previous_frame.push_str(raw);
            return false;
        }
        if elements < LEAST_REPEATED_ELEMENTS {
            out.counts.suspicious_repeats += 1;
            return false;
        }
        if !self.config.drop_repeats {
            out.counts.repeats_kept += 1;
            return false;
        }
        out.counts.repeats_dropped += 1;
        out.counts.repeated_elements_dropped += elements as u64;
        true
    }

    fn number(&mut self, trade: FeedTrade, arrival: Arrival, out: &mut IntakeOutput) {
        self.move_feed_time(&trade, arrival);
        out.counts.trades += 1;
        out.counts.inexact_numbers += u64::from(trade.inexact_numbers);
        let seq = self.take_seq();
        out.records.push(Numbered::Trade(Trade {
            symbol: trade.symbol,
            price: trade.price,
            volume: trade.volume,
            trade_time_ms: trade.trade_time_ms,
            conditions: trade.conditions,
            connection: self.config.connection,
            seq,
            received_at_us: arrival.at_us,
            feed: self.config.feed.clone(),
        }));
    }

    /// Feed time drives the watermark, so a trade that will be rejected must not move it.
    fn move_feed_time(&mut self, trade: &FeedTrade, arrival: Arrival) {
        let is_believable = trade.price.is_finite()
            && trade.price > 0.0
            && trade.volume.is_finite()
            && trade.volume >= 0.0;
        let is_newest = self.newest.is_none_or(|newest| trade.trade_time_ms > newest.trade_time_ms);
        if is_believable && is_newest && !self.is_far_ahead(trade.trade_time_ms, arrival) {
            self.newest = Some(NewestTrade {
                trade_time_ms: trade.trade_time_ms,
                received_monotonic_us: arrival.monotonic_us,
            });
        }
    }

    fn is_far_ahead(&self, trade_time_ms: i64, arrival: Arrival) -> bool {
        if arrival.at_us == 0 {
            return false;
        }
        let feed_time_ms = self.feed_time_ms(arrival.monotonic_us).unwrap_or(i64::MIN);
        let reference_ms = feed_time_ms.max(arrival.at_us / 1_000);
        trade_time_ms > reference_ms.saturating_add(self.config.future_bound_ms)
    }

    fn reject_frame(
        &mut self,
        raw: &str,
        problem: String,
        arrival: Arrival,
        out: &mut IntakeOutput,
    ) {
        out.counts.malformed_frames += 1;
        let reason = RejectReason::MalformedFrame;
        out.rejections.push(self.rejection(reason, raw.to_owned(), problem.clone(), arrival));
        // How many trades it held is unknown: at least one is assumed.
        let event = FeedEvent { lost_records: 1, detail: problem, ..self.event_now(arrival) };
        self.push_event(FeedEvent { kind: FeedEventKind::DecodeLoss, ..event }, out);
    }

    fn reject_elements(
        &mut self,
        elements: Vec<MalformedElement>,
        arrival: Arrival,
        out: &mut IntakeOutput,
    ) {
        let lost = elements.len();
        let detail = elements.first().map(|first| first.problem.clone()).unwrap_or_default();
        let mut symbols: Vec<String> = Vec::new();
        out.counts.malformed_elements += lost as u64;
        for element in elements {
            let reason = RejectReason::MalformedElement;
            out.rejections.push(self.rejection(reason, element.raw, element.problem, arrival));
            symbols.extend(element.symbol);
        }
        symbols.sort_unstable();
        symbols.dedup();
        let event = FeedEvent {
            kind: FeedEventKind::DecodeLoss,
            lost_records: lost as i64,
            symbols,
            detail,
            ..self.event_now(arrival)
        };
        self.push_event(event, out);
    }

    fn rejection(
        &self,
        reason: RejectReason,
        raw: String,
        problem: String,
        arrival: Arrival,
    ) -> Rejection {
        Rejection {
            reason,
            connection: self.config.connection,
            feed: self.config.feed.to_string(),
            frame: self.frames,
            received_at_us: arrival.at_us,
            raw,
            problem,
        }
    }

    /// The upgrade succeeded.
    pub fn connected(&mut self, arrival: Arrival, out: &mut IntakeOutput) {
        self.confirm(arrival);
        self.push_kind(FeedEventKind::Connected, arrival, "", out);
    }

    /// Every symbol of the connection was asked for.
    pub fn subscribed(&mut self, symbols: Vec<String>, arrival: Arrival, out: &mut IntakeOutput) {
        self.symbols = symbols;
        self.tell_symbols(arrival, out);
    }

    fn tell_symbols(&mut self, arrival: Arrival, out: &mut IntakeOutput) {
        self.subscribed_at_us = arrival.at_us;
        let event = FeedEvent { symbols: self.symbols.clone(), ..self.event_now(arrival) };
        self.push_event(FeedEvent { kind: FeedEventKind::Subscribed, ..event }, out);
    }

    /// The connection is taken to be alive.
    pub fn heartbeat(&mut self, arrival: Arrival, out: &mut IntakeOutput) {
        self.push_kind(FeedEventKind::Heartbeat, arrival, "", out);
        let since_us = arrival.at_us - self.subscribed_at_us;
        if !self.symbols.is_empty() && since_us >= SUBSCRIBED_AGAIN_EVERY_US {
            self.tell_symbols(arrival, out);
        }
    }

    /// Nothing was heard for too long.
    pub fn silence(&mut self, arrival: Arrival, detail: &str, out: &mut IntakeOutput) {
        self.push_kind(FeedEventKind::Silence, arrival, detail, out);
    }

    /// The socket is closed; `detail` says why and never holds the key.
    pub fn disconnected(&mut self, arrival: Arrival, detail: &str, out: &mut IntakeOutput) {
        self.push_kind(FeedEventKind::Disconnected, arrival, detail, out);
    }

    /// Nothing of this connection will ever follow.
    pub fn released(&mut self, arrival: Arrival, detail: &str, out: &mut IntakeOutput) {
        self.push_kind(FeedEventKind::Released, arrival, detail, out);
    }

    /// `lost_records` elements were given up because a bound was reached, in feed time from
    /// `since_ms` until now; `None`: since before the connection had a feed time.
    pub fn overflow(
        &mut self,
        arrival: Arrival,
        since_ms: Option<i64>,
        lost_records: i64,
        out: &mut IntakeOutput,
    ) {
        let confirmed_feed_time_ms = since_ms;
        let event = FeedEvent { lost_records, confirmed_feed_time_ms, ..self.event_now(arrival) };
        self.push_event(FeedEvent { kind: FeedEventKind::Overflow, ..event }, out);
    }

    fn push_kind(
        &mut self,
        kind: FeedEventKind,
        arrival: Arrival,
        detail: &str,
        out: &mut IntakeOutput,
    ) {
        let event = FeedEvent { kind, detail: detail.to_owned(), ..self.event_now(arrival) };
        self.push_event(event, out);
    }

    /// An event of this instant, kind and seq to be set.
    fn event_now(&self, arrival: Arrival) -> FeedEvent {
        let confirmed = self.confirmed;
        FeedEvent {
            kind: FeedEventKind::Heartbeat,
            connection: self.config.connection,
            seq: 0,
            feed: self.config.feed.to_string(),
            at_us: arrival.at_us,
            feed_time_ms: self.feed_time_ms(arrival.monotonic_us),
            confirmed_at_us: confirmed.map(|at| at.at_us),
            confirmed_feed_time_ms: self.confirmed_feed_time_ms(),
            symbols: Vec::new(),
            lost_records: 0,
            detail: String::new(),
        }
    }

    fn push_event(&mut self, event: FeedEvent, out: &mut IntakeOutput) {
        let seq = self.take_seq();
        out.records.push(Numbered::Event(FeedEvent { seq, ..event }));
    }

    fn take_seq(&mut self) -> i64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }
}

#[cfg(test)]
mod tests;
