//! What one window adds up to: first, last, extremes and exact sums, in a form that merges in any
//! order to the same result, so that an hour rolled up from five-minute parts equals one computed
//! directly.

use crate::model::{Accumulator, Amount, Candidate, ExclusionReason};

use super::conditions::{Eligibility, Last};

/// No window may sum up to more: leaves room to merge 4096 windows without overflow, and that four
/// times over, since a longer window may outlive changes of the shortest interval.
pub(super) const VOLUME_LIMIT_UNITS: u128 = u128::MAX >> 14;
const FITS: &str = "sums of a window are bounded before they are added";

/// Orders trades of one window: event time, then arrival.
fn order(candidate: &Candidate) -> (i64, i64) {
    (candidate.point.trade_time_ms, candidate.arrival)
}

fn earlier(a: &Candidate, b: &Candidate) -> bool {
    order(a) < order(b)
}

fn later(a: &Candidate, b: &Candidate) -> bool {
    order(a) > order(b)
}

fn higher(a: &Candidate, b: &Candidate) -> bool {
    a.point.price > b.point.price || (a.point.price == b.point.price && earlier(a, b))
}

fn lower(a: &Candidate, b: &Candidate) -> bool {
    a.point.price < b.point.price || (a.point.price == b.point.price && earlier(a, b))
}

/// Puts `candidate` into `slot` when it is empty or `wins` over what is there.
fn offer(
    slot: &mut Option<Candidate>,
    candidate: Candidate,
    wins: fn(&Candidate, &Candidate) -> bool,
) {
    if slot.as_ref().is_none_or(|current| wins(&candidate, current)) {
        *slot = Some(candidate);
    }
}

/// Whether `volume` can be added without passing the bound of a window.
pub fn has_room(accumulator: &Accumulator, volume: Amount) -> bool {
    accumulator.volume.checked_add(volume).is_some_and(|sum| sum.units() <= VOLUME_LIMIT_UNITS)
}

/// Adds one trade. `has_room` must hold.
pub fn add(
    accumulator: &mut Accumulator,
    candidate: Candidate,
    price: Amount,
    volume: Amount,
    eligibility: Eligibility,
) {
    match eligibility.last {
        Last::Yes => {
            offer(&mut accumulator.first, candidate, earlier);
            offer(&mut accumulator.last, candidate, later);
        }
        Last::OnlyIfNone => {
            offer(&mut accumulator.conditional_first, candidate, earlier);
            offer(&mut accumulator.conditional_last, candidate, later);
        }
        Last::No => {}
    }
    if eligibility.high_low {
        offer(&mut accumulator.high, candidate, higher);
        offer(&mut accumulator.low, candidate, lower);
    }
    if eligibility.volume {
        accumulator.volume = accumulator.volume.checked_add(volume).expect(FITS);
        accumulator.turnover = accumulator.turnover.checked_add_product(price, volume).expect(FITS);
        accumulator.trade_count += 1;
    }
    if eligibility.is_excluded() {
        exclude(accumulator, eligibility.reason, volume);
    }
    accumulator.inputs += 1;
}

fn exclude(accumulator: &mut Accumulator, reason: ExclusionReason, volume: Amount) {
    let exclusion = &mut accumulator.excluded[reason as usize];
    exclusion.volume = exclusion.volume.checked_add(volume).expect(FITS);
    exclusion.count += 1;
}

/// Merges `other` into `accumulator`; commutative and associative.
pub fn merge(accumulator: &mut Accumulator, other: &Accumulator) {
    type Wins = fn(&Candidate, &Candidate) -> bool;
    let slots: [(&mut Option<Candidate>, &Option<Candidate>, Wins); 6] = [
        (&mut accumulator.first, &other.first, earlier),
        (&mut accumulator.last, &other.last, later),
        (&mut accumulator.conditional_first, &other.conditional_first, earlier),
        (&mut accumulator.conditional_last, &other.conditional_last, later),
        (&mut accumulator.high, &other.high, higher),
        (&mut accumulator.low, &other.low, lower),
    ];
    for (slot, theirs, wins) in slots {
        if let Some(candidate) = theirs {
            offer(slot, *candidate, wins);
        }
    }
    accumulator.volume = accumulator.volume.checked_add(other.volume).expect(FITS);
    accumulator.turnover = accumulator.turnover.checked_add(other.turnover).expect(FITS);
    accumulator.trade_count += other.trade_count;
    for (mine, theirs) in accumulator.excluded.iter_mut().zip(&other.excluded) {
        mine.volume = mine.volume.checked_add(theirs.volume).expect(FITS);
        mine.count += theirs.count;
    }
    accumulator.sessions |= other.sessions;
    accumulator.inputs += other.inputs;
}

/// Takes a part out that was merged before, so that it can be merged again. Who was first, last,
/// highest and lowest stays: the same candidates come again with the part. False when it was never
/// merged: the whole is less.
pub fn take_out(accumulator: &mut Accumulator, part: &Accumulator) -> bool {
    let volume = accumulator.volume.checked_sub(part.volume);
    let turnover = accumulator.turnover.checked_sub(part.turnover);
    let (Some(volume), Some(turnover)) = (volume, turnover) else { return false };
    (accumulator.volume, accumulator.turnover) = (volume, turnover);
    accumulator.trade_count -= part.trade_count;
    accumulator.inputs -= part.inputs;
    for (whole, of_part) in accumulator.excluded.iter_mut().zip(&part.excluded) {
        let Some(volume) = whole.volume.checked_sub(of_part.volume) else { return false };
        whole.volume = volume;
        whole.count -= of_part.count;
    }
    let mut counts = accumulator.excluded.iter().map(|one| one.count);
    accumulator.trade_count >= 0 && accumulator.inputs >= 0 && counts.all(|count| count >= 0)
}

/// The trade that sets the open: conditional ones only where there is no other.
pub fn open(accumulator: &Accumulator) -> Option<Candidate> {
    accumulator.first.or(accumulator.conditional_first)
}

/// The trade that sets the close.
pub fn close(accumulator: &Accumulator) -> Option<Candidate> {
    accumulator.last.or(accumulator.conditional_last)
}
