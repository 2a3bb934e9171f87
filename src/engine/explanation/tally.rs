//! The trades of a window, judged once more and added up as the engine does it.

use compact_str::CompactString;

use crate::model::{
    Accumulator, Amount, Candidate, Exclusion, ForbiddenVolume, Judged, PricePoint, Session,
    VolumeSplit,
};

use super::super::accumulator;
use super::super::conditions::{Eligibility, Last};
use super::super::rules::Rules;
use super::super::session::SessionClock;
use super::{ByName, Reading};

/// A trade with what it may update.
#[derive(Debug)]
pub(super) struct Seen {
    pub judged: Judged,
    pub volume: Amount,
    pub session: Session,
    pub eligibility: Eligibility,
}

/// The trades of a window and what they come to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub seen: Vec<Seen>,
    pub by_name: ByName,
    pub total: Accumulator,
    /// Trades that set open and close by full right, or only when there is no other.
    pub full: i64,
    pub conditional: i64,
    pub high_low: i64,
    /// Rows whose price or volume the engine would never have merged.
    pub unusable: i64,
}

impl Tally {
    pub fn of(trades: Vec<Judged>, rules: &Rules, reading: Reading) -> Self {
        let mut tally = Self::default();
        let mut sessions = SessionClock::new(rules.calendar.clone());
        for judged in trades {
            tally.add(judged, rules, reading, &mut sessions);
        }
        tally
    }

    /// Adds the late trades that a rebuild put in: those that had come until then. Returns the
    /// others.
    pub fn take_late(
        &mut self,
        mut late: Vec<Judged>,
        included: i64,
        rules: &Rules,
        reading: Reading,
    ) -> Vec<Judged> {
        late.sort_by_key(|judged| judged.origin);
        let mut sessions = SessionClock::new(rules.calendar.clone());
        let until = self.total.trade_count + included;
        let mut others = Vec::new();
        for judged in late {
            if self.total.trade_count < until {
                self.add(judged, rules, reading, &mut sessions);
            } else {
                others.push(judged);
            }
        }
        others
    }

    fn add(
        &mut self,
        judged: Judged,
        rules: &Rules,
        reading: Reading,
        sessions: &mut SessionClock,
    ) {
        let trade = &judged.trade;
        let amounts = (Amount::from_f64(trade.price), Amount::from_f64(trade.volume));
        let (Some(price), Some(volume)) = amounts else {
            self.unusable += 1;
            return;
        };
        if !accumulator::has_room(&self.total, volume) {
            self.unusable += 1;
            return;
        }
        let session = sessions.session_at(trade.trade_time_ms);
        let codes = trade.conditions.as_deref().unwrap_or_default();
        let eligibility = rules.eligibility(reading.class, reading.policy, codes, volume, session);
        if eligibility.volume {
            let point = point_of(&judged);
            let candidate = Candidate { point, arrival: judged.origin.offset };
            accumulator::add(&mut self.total, candidate, price, volume, eligibility);
            self.full += i64::from(eligibility.last == Last::Yes);
            self.conditional += i64::from(eligibility.last == Last::OnlyIfNone);
            self.high_low += i64::from(eligibility.high_low);
        }
        self.by_name.insert((trade.connection, trade.seq), self.seen.len());
        self.seen.push(Seen { judged, volume, session, eligibility });
    }

    /// How many trades that may set high and low have exactly this price.
    pub fn at_price(&self, price: f64) -> usize {
        let may = |seen: &&Seen| seen.eligibility.high_low && seen.judged.trade.price == price;
        self.seen.iter().filter(may).count()
    }

    pub fn split(&self, reading: Reading) -> VolumeSplit {
        let mut split = VolumeSplit { excluded: self.total.excluded, ..VolumeSplit::default() };
        for seen in &self.seen {
            if !seen.eligibility.volume {
                forbid(&mut split.forbidden, seen, reading);
                continue;
            }
            count(&mut split.counted, seen.volume);
            split.price_updates += i64::from(seen.volume.is_zero());
            if !seen.eligibility.is_excluded() {
                count(&mut split.sets_price, seen.volume);
            }
        }
        split
    }
}

fn forbid(forbidden: &mut Vec<ForbiddenVolume>, seen: &Seen, reading: Reading) {
    let Some(&code) = reading.codes_against(seen, |one| !one.volume).first() else { return };
    let condition = reading.meaning(code);
    let known = forbidden.iter().position(|one| one.condition == condition);
    let index = known.unwrap_or_else(|| {
        forbidden.push(ForbiddenVolume { condition, what: Exclusion::default() });
        forbidden.len() - 1
    });
    count(&mut forbidden[index].what, seen.volume);
}

fn count(into: &mut Exclusion, volume: Amount) {
    // Each is below the bound of a window, which `Tally::add` keeps; a forbidden volume is not in
    // it and saturates instead.
    into.volume = into.volume.checked_add(volume).unwrap_or(into.volume);
    into.count += 1;
}

fn point_of(judged: &Judged) -> PricePoint {
    let trade = &judged.trade;
    PricePoint {
        price: trade.price,
        trade_time_ms: trade.trade_time_ms,
        connection: trade.connection,
        seq: trade.seq,
    }
}

impl Reading<'_> {
    /// The codes of a trade that, taken alone, judge it so.
    pub fn codes_against<'s>(
        &self,
        seen: &'s Seen,
        is_so: impl Fn(Eligibility) -> bool,
    ) -> Vec<&'s str> {
        let codes = seen.judged.trade.conditions.as_deref().unwrap_or_default();
        let alone = |code: &CompactString| {
            is_so(self.conditions.judge(std::slice::from_ref(code), self.policy, seen.session))
        };
        codes.iter().filter(|code| alone(code)).map(CompactString::as_str).collect()
    }
}
