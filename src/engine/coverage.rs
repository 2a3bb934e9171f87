//! How far the feed vouches for a window: a pure function of who owned the symbol when, of how far
//! each owner is confirmed, and of what was lost.
//!
//! Everything is in feed time. A connection is up from its subscription to the last instant that a
//! frame or ping of it confirmed; a gap therefore starts at the last confirmed instant, not at its
//! detection.

use crate::model::{Completeness, ConnectionState, Loss, OwnedSpan, Window};

/// Losses kept of one symbol; beyond that the two nearest ones are taken as one.
const LOSSES_LIMIT: usize = 256;

/// `[from_ms, to_ms)` of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    connection: i64,
    from_ms: i64,
    to_ms: i64,
}

impl Stretch {
    fn overlap_ms(self, from_ms: i64, to_ms: i64) -> i64 {
        (self.to_ms.min(to_ms) - self.from_ms.max(from_ms)).max(0)
    }
}

/// A time between stretches: nobody delivered the symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The connection before it.
    pub connection: i64,
    pub from_ms: i64,
    /// Where it ends, and the connection that took up again; `None` while it lasts.
    pub next: Option<(i64, i64)>,
}

/// The times in which a symbol's feed was up, as far as is known. Stretches are in order and apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    ups: Vec<Stretch>,
    /// A live connection was not heard of yet: settled by a later sign of it, or by its end.
    opens: Vec<Stretch>,
}

impl Timeline {
    /// `find` knows every connection whose mark is still kept.
    pub fn of<'a>(spans: &[OwnedSpan], find: impl Fn(i64) -> Option<&'a ConnectionState>) -> Self {
        let mut line = Self { ups: Vec::with_capacity(spans.len()), opens: Vec::new() };
        for (index, span) in spans.iter().enumerate() {
            let connection = span.connection;
            let state = find(connection);
            let next_ms = spans[index + 1..].iter().filter_map(|next| next.up_from_ms).min();
            let next_ms = next_ms.unwrap_or(i64::MAX);
            let before_ms = line.confirmed_to_ms().unwrap_or(i64::MIN);
            // One whose clock was guessed may seem to come after its successor: it had no time.
            let mut from_ms = span.up_from_ms.unwrap_or(before_ms).max(before_ms).min(next_ms);
            let confirmed_ms = state.and_then(|state| state.confirmed_ms);
            if let Some(confirmed_ms) = confirmed_ms.filter(|_| span.up_from_ms.is_some()) {
                let to_ms = confirmed_ms.min(next_ms).max(from_ms);
                line.ups.push(Stretch { connection, from_ms, to_ms });
                from_ms = to_ms;
            }
            if state.is_some_and(|state| state.live) {
                line.open(connection, from_ms, next_ms);
            }
        }
        line
    }

    fn open(&mut self, connection: i64, from_ms: i64, to_ms: i64) {
        let from_ms = self.opens.last().map_or(from_ms, |before| before.to_ms.max(from_ms));
        if from_ms < to_ms {
            self.opens.push(Stretch { connection, from_ms, to_ms });
        }
    }

    /// Where the last stretch ends: the last confirmed instant.
    pub fn confirmed_to_ms(&self) -> Option<i64> {
        self.ups.last().map(|up| up.to_ms)
    }

    /// The times since the first stretch that are neither up nor open.
    pub fn gaps(&self) -> Vec<Gap> {
        let known = self.ups.iter().chain(&self.opens);
        let counts = |one: &&Stretch| one.from_ms < one.to_ms || self.ups.first() == Some(*one);
        let mut stretches: Vec<&Stretch> = known.filter(counts).collect();
        stretches.sort_by_key(|one| one.from_ms);
        let mut gaps = Vec::new();
        let pairs = stretches.iter().zip(stretches.iter().skip(1));
        for (before, after) in pairs.filter(|(before, after)| before.to_ms < after.from_ms) {
            let next = Some((after.from_ms, after.connection));
            gaps.push(Gap { connection: before.connection, from_ms: before.to_ms, next });
        }
        if let Some(last) = stretches.last().filter(|last| last.to_ms < i64::MAX) {
            gaps.push(Gap { connection: last.connection, from_ms: last.to_ms, next: None });
        }
        gaps
    }

    /// What is still to be heard of within the window, and by when.
    pub fn awaited(&self, window: Window) -> impl Iterator<Item = (i64, i64)> {
        let overlaps =
            move |open: &&Stretch| open.from_ms < window.end_ms && open.to_ms > window.start_ms;
        let opens = self.opens.iter().filter(overlaps);
        opens.map(move |open| (open.connection, open.to_ms.min(window.end_ms)))
    }

    /// What the window gets out of it.
    pub fn assess(&self, window: Window, losses: &[Loss]) -> Completeness {
        let Window { start_ms, end_ms } = window;
        let is_within = self.ups.first().is_some_and(|first| end_ms > first.from_ms);
        if !is_within {
            // Before anybody asked for the symbol, nobody can say.
            return Completeness::default();
        }
        let up_ms: i64 = self.ups.iter().map(|up| up.overlap_ms(start_ms, end_ms)).sum();
        let lost_ms: i64 = losses
            .iter()
            .flat_map(|loss| self.ups.iter().map(move |up| (loss, up)))
            .map(|(loss, up)| up.overlap_ms(loss.from_ms.max(start_ms), loss.to_ms.min(end_ms)))
            .sum();
        let unconfirmed_ms: i64 =
            self.opens.iter().map(|open| open.overlap_ms(start_ms, end_ms)).sum();
        Completeness {
            up_ms: Some(up_ms - lost_ms),
            gap_ms: end_ms - start_ms - up_ms - unconfirmed_ms + lost_ms,
            unconfirmed_ms,
            has_losses: losses.iter().any(|loss| hits(loss, window)),
        }
    }
}

fn hits(loss: &Loss, window: Window) -> bool {
    let is_instant = loss.from_ms == loss.to_ms;
    loss.from_ms < window.end_ms
        && (loss.to_ms > window.start_ms || is_instant && loss.from_ms == window.start_ms)
}

/// Adds a loss; false when it tells nothing new for windows of `grain_ms`.
pub fn add_loss(losses: &mut Vec<Loss>, loss: Loss, grain_ms: i64) -> bool {
    let is_instant = loss.from_ms == loss.to_ms;
    let grain = |time_ms: i64| time_ms.div_euclid(grain_ms);
    let tells_same = |known: &Loss| {
        known.from_ms == known.to_ms && grain(known.from_ms) == grain(loss.from_ms)
            || known.from_ms <= loss.from_ms && known.to_ms > loss.from_ms
    };
    if is_instant && losses.iter().any(tells_same) {
        return false;
    }
    losses.push(loss);
    losses.sort_by_key(|one| (one.from_ms, one.to_ms));
    let mut merged: Vec<Loss> = Vec::with_capacity(losses.len());
    for one in losses.drain(..) {
        match merged.last_mut() {
            Some(last) if is_one(last, &one) => last.to_ms = last.to_ms.max(one.to_ms),
            _ => merged.push(one),
        }
    }
    while merged.len() > LOSSES_LIMIT {
        merge_nearest(&mut merged);
    }
    *losses = merged;
    true
}

/// Two losses in order of their starts touch; an instant at the end of a time stays apart, since it
/// belongs to the window that starts there.
fn is_one(earlier: &Loss, later: &Loss) -> bool {
    let is_instant = |loss: &Loss| loss.from_ms == loss.to_ms;
    if is_instant(later) && !is_instant(earlier) {
        return later.from_ms < earlier.to_ms;
    }
    later.from_ms <= earlier.to_ms
}

/// Pessimistic: what lies between the two counts as lost too.
fn merge_nearest(losses: &mut Vec<Loss>) {
    let distance = |index: &usize| losses[index + 1].from_ms - losses[*index].to_ms;
    let Some(nearest) = (0..losses.len() - 1).min_by_key(distance) else { return };
    let taken = losses.remove(nearest + 1);
    losses[nearest].to_ms = losses[nearest].to_ms.max(taken.to_ms);
}

/// Forgets what no window that starts at `before_ms` or later can see; the newest owner stays.
pub fn forget<'a>(
    spans: &mut Vec<OwnedSpan>,
    losses: &mut Vec<Loss>,
    before_ms: i64,
    find: impl Fn(i64) -> Option<&'a ConnectionState>,
) {
    let begins = |index: usize| begins_told(spans, index, before_ms, &find);
    if let Some(first) = (1..spans.len()).rev().find(|index| begins(*index)) {
        spans.drain(..first);
    }
    losses.retain(|loss| loss.to_ms >= before_ms);
    forget_unheard(spans, find);
}

/// All that was before the span is out of reach and told: it began so long ago, was heard of while
/// it had the symbol, and those before it can confirm no more.
fn begins_told<'a>(
    spans: &[OwnedSpan],
    index: usize,
    before_ms: i64,
    find: &impl Fn(i64) -> Option<&'a ConnectionState>,
) -> bool {
    let Some(from_ms) = spans[index].up_from_ms.filter(|from_ms| *from_ms <= before_ms) else {
        return false;
    };
    let is_dated = |state: &&ConnectionState| state.feed_offset_ms.is_some();
    let confirmed_ms = |span: &OwnedSpan| find(span.connection).filter(is_dated)?.confirmed_ms;
    let is_done = |span: &OwnedSpan| {
        let lives = find(span.connection).is_some_and(|state| state.live);
        !lives || confirmed_ms(span) >= Some(from_ms)
    };
    confirmed_ms(&spans[index]) > Some(from_ms)
        && spans[index + 1..].iter().all(|next| next.up_from_ms.is_none_or(|ms| ms > from_ms))
        && spans[..index].iter().all(is_done)
}

/// One that was never heard of matters only by what it took from those before it, and then the one
/// that took first: a feed that connects in vain all night must not fill the memory.
fn forget_unheard<'a>(
    spans: &mut Vec<OwnedSpan>,
    find: impl Fn(i64) -> Option<&'a ConnectionState>,
) {
    let newest = spans.last().copied();
    let (mut any_live, mut heard_ms) = (false, None);
    let (mut has_undated, mut taken_ms) = (false, i64::MAX);
    spans.retain(|span| {
        let state = find(span.connection);
        let is_live = state.is_some_and(|state| state.live);
        if is_live || is_up(span, state) {
            any_live |= is_live;
            heard_ms = heard_ms.max(state.and_then(|state| state.confirmed_ms));
            (has_undated, taken_ms) = (false, i64::MAX);
            return true;
        }
        let took = match span.up_from_ms {
            Some(from_ms) => (any_live || heard_ms > Some(from_ms)) && from_ms < taken_ms,
            None => any_live && !has_undated,
        };
        if took {
            has_undated |= span.up_from_ms.is_none();
            taken_ms = span.up_from_ms.unwrap_or(taken_ms);
        }
        took || Some(*span) == newest
    });
}

/// A gap ends, once and for all, with a connection that was heard of: until it has a feed time of
/// its own, a live one ends none.
pub fn is_told(state: &ConnectionState) -> bool {
    state.feed_offset_ms.is_some() || !state.live
}

/// The connection was heard of while it had the symbol.
fn is_up(span: &OwnedSpan, state: Option<&ConnectionState>) -> bool {
    span.up_from_ms.is_some() && state.is_some_and(|state| state.confirmed_ms.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Verdict;

    const WINDOW: Window = Window { start_ms: 1_000, end_ms: 2_000 };

    fn connection(connection: i64, live: bool, confirmed_ms: Option<i64>) -> ConnectionState {
        ConnectionState {
            connection,
            feed: "f".into(),
            mark: 0,
            live,
            feed_time_ms: None,
            ended_at_watermark_ms: None,
            ended_by: None,
            feed_offset_ms: None,
            confirmed_ms,
        }
    }

    fn span(connection: i64, up_from_ms: Option<i64>) -> OwnedSpan {
        OwnedSpan { connection, since_us: 0, up_from_ms }
    }

    fn assess(spans: &[OwnedSpan], known: &[ConnectionState], losses: &[Loss]) -> Completeness {
        let find = |id| known.iter().find(|state| state.connection == id);
        let told = Timeline::of(spans, find).assess(WINDOW, losses);
        if let Some(up_ms) = told.up_ms {
            assert_eq!(up_ms + told.gap_ms + told.unconfirmed_ms, 1_000, "{told:?}");
        }
        told
    }

    #[test]
    fn confirmed_throughout_is_complete() {
        let told = assess(&[span(1, Some(0))], &[connection(1, true, Some(2_000))], &[]);
        assert_eq!((told.up_ms, told.verdict()), (Some(1_000), Verdict::Complete));
    }

    #[test]
    fn a_live_tail_is_unknown_and_a_dead_one_is_a_gap() {
        let spans = [span(1, Some(0))];
        let told = assess(&spans, &[connection(1, true, Some(1_700))], &[]);
        assert_eq!((told.unconfirmed_ms, told.gap_ms), (300, 0));
        assert_eq!(told.verdict(), Verdict::Unknown);
        let told = assess(&spans, &[connection(1, false, Some(1_700))], &[]);
        assert_eq!((told.unconfirmed_ms, told.gap_ms), (0, 300));
        assert_eq!(told.verdict(), Verdict::Partial);
    }

    #[test]
    fn the_gap_between_two_connections_counts_and_an_overlap_does_not() {
        let known = [connection(1, false, Some(1_200)), connection(2, true, Some(5_000))];
        let told = assess(&[span(1, Some(0)), span(2, Some(1_600))], &known, &[]);
        assert_eq!((told.gap_ms, told.verdict()), (400, Verdict::Partial));
        let told = assess(&[span(1, Some(0)), span(2, Some(1_100))], &known, &[]);
        assert_eq!((told.gap_ms, told.verdict()), (0, Verdict::Complete));
    }

    #[test]
    fn a_successor_without_feed_time_leaves_it_open() {
        let known = [connection(1, false, Some(1_200)), connection(2, true, None)];
        let told = assess(&[span(1, Some(0)), span(2, None)], &known, &[]);
        assert_eq!((told.unconfirmed_ms, told.verdict()), (800, Verdict::Unknown));
    }

    #[test]
    fn the_first_window_is_partial_and_those_before_are_unknown() {
        let known = [connection(1, true, Some(5_000))];
        let told = assess(&[span(1, Some(1_250))], &known, &[]);
        assert_eq!((told.gap_ms, told.verdict()), (250, Verdict::Partial));
        let told = assess(&[span(1, Some(2_000))], &known, &[]);
        assert_eq!((told.up_ms, told.verdict()), (None, Verdict::Unknown));
        assert_eq!(assess(&[], &[], &[]).verdict(), Verdict::Unknown);
    }

    #[test]
    fn losses_make_partial_and_take_from_what_was_up() {
        let spans = [span(1, Some(0))];
        let known = [connection(1, true, Some(5_000))];
        let told = assess(&spans, &known, &[Loss { from_ms: 1_500, to_ms: 1_500 }]);
        assert_eq!((told.gap_ms, told.verdict()), (0, Verdict::Partial));
        let told = assess(&spans, &known, &[Loss { from_ms: 500, to_ms: 1_500 }]);
        assert_eq!((told.up_ms, told.gap_ms), (Some(500), 500));
        let told = assess(&spans, &known, &[Loss { from_ms: 2_000, to_ms: 2_000 }]);
        assert_eq!(told.verdict(), Verdict::Complete);
    }

    #[test]
    fn a_flood_of_losses_stays_small() {
        let mut losses = Vec::new();
        let instant = |at_ms| Loss { from_ms: at_ms, to_ms: at_ms };
        assert!(add_loss(&mut losses, instant(100), 1_000));
        assert!(!add_loss(&mut losses, instant(900), 1_000), "the same window");
        assert!(add_loss(&mut losses, Loss { from_ms: 1_100, to_ms: 1_300 }, 1_000));
        assert!(add_loss(&mut losses, Loss { from_ms: 1_200, to_ms: 1_500 }, 1_000));
        assert_eq!(losses, [instant(100), Loss { from_ms: 1_100, to_ms: 1_500 }]);
        for second in 2..1_000 {
            add_loss(&mut losses, instant(second * 1_000), 1_000);
        }
        assert_eq!(losses.len(), LOSSES_LIMIT);
    }
}
