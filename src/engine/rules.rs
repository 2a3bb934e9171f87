//! What an engine is told once: intervals, bounds, policy and tables. Pure values.

use compact_str::CompactString;

use crate::error::{Error, Result};
use crate::model::{Amount, Interval, Session};

use super::conditions::{ConditionTable, Eligibility, Last, Policy};
use super::session::Calendar;
use super::symbol_class::{ClassRule, SymbolClass};

/// The longest interval is at most so many of the shortest: sums then cannot overflow.
pub const ROLL_UP_LIMIT: i64 = 4_096;

/// The rules of one stream; the same for all of its partitions.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Ascending; each a whole multiple of the first.
    pub intervals: Vec<Interval>,
    /// The watermark stays so far behind the newest feed time, ms.
    pub out_of_orderness_ms: i64,
    /// Behind the watermark by more than this is late, ms.
    pub allowed_lateness_ms: i64,
    /// Ahead of arrival and feed time by more than this is rejected, ms.
    pub future_bound_ms: i64,
    /// Before this is rejected, ms since the epoch.
    pub earliest_ms: i64,
    /// `None`: by class of the symbol.
    pub policy: Option<Policy>,
    pub classes: ClassRule,
    /// Bytes of a symbol at most.
    pub symbol_max_bytes: usize,
    /// A mark outlives its connection by so much watermark, ms: the retention of the trades topic.
    pub mark_horizon_ms: i64,
    pub conditions: ConditionTable,
    pub calendar: Calendar,
}

impl Rules {
    /// Rules with the built-in tables and the given intervals, for everything else the defaults.
    ///
    /// # Errors
    /// `Config` when the intervals do not fit each other.
    pub fn with_intervals(mut intervals: Vec<Interval>) -> Result<Self> {
        intervals.sort();
        check_intervals(&intervals)?;
        Ok(Self {
            intervals,
            out_of_orderness_ms: 2_000,
            allowed_lateness_ms: 600_000,
            future_bound_ms: 60_000,
            earliest_ms: 946_684_800_000,
            policy: None,
            classes: ClassRule::default(),
            symbol_max_bytes: 64,
            mark_horizon_ms: 7 * 86_400_000,
            conditions: ConditionTable::built_in()?,
            calendar: Calendar::built_in()?,
        })
    }

    /// The policy for symbols of a class.
    pub fn policy_for(&self, class: SymbolClass) -> Policy {
        self.policy.unwrap_or(Policy::for_class(class))
    }

    /// What a trade of such a symbol may update. `session` is that of its own New York time.
    pub fn eligibility(
        &self,
        class: SymbolClass,
        policy: Policy,
        codes: &[CompactString],
        volume: Amount,
        session: Session,
    ) -> Eligibility {
        let judged = self.conditions.judge(codes, policy, session);
        // A venue without trades sends price updates of volume 0; on the tape they mean nothing.
        if class == SymbolClass::UsStock && volume.is_zero() {
            return Eligibility { last: Last::No, high_low: false, ..judged };
        }
        judged
    }
}

impl Rules {
    /// Length of the longest interval, ms.
    pub fn longest_ms(&self) -> i64 {
        self.intervals.last().map_or(0, |longest| longest.length_ms())
    }
}

/// Ascending, different, whole multiples of the first, and not more than `ROLL_UP_LIMIT` of it.
pub fn check_intervals(intervals: &[Interval]) -> Result<()> {
    let Some(base) = intervals.first() else {
        return Err(Error::Config("no interval is configured; stream.intervals needs one".into()));
    };
    for pair in intervals.windows(2) {
        let (short, long) = (pair[0].length_ms(), pair[1].length_ms());
        if short >= long || long % base.length_ms() != 0 {
            let (long, base) = (pair[1], base);
            return Err(Error::Config(format!("interval {long} is no whole multiple of {base}")));
        }
        if long / base.length_ms() > ROLL_UP_LIMIT {
            let long = pair[1];
            return Err(Error::Config(format!("interval {long} is over {ROLL_UP_LIMIT} × {base}")));
        }
    }
    Ok(())
}
