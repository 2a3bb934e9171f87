//! Sale conditions as data: what a trade may update, from its codes, its class and its time.
//!
//! The table is `config/sale_conditions.csv`, after the consolidated tape plans; codes combine by
//! AND, so one "no" disqualifies.

use crate::error::{Error, Result};
use crate::model::{ExclusionReason, Session};

use super::symbol_class::SymbolClass;

/// The text of the table that is built in.
const TABLE: &str = include_str!("../../config/sale_conditions.csv");
/// Codes are 0..CODES.
const CODES: usize = 64;

/// How far one code, or all codes of a trade, let it set open and close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Last {
    No,
    /// Only in a window without any trade that sets last by full right.
    OnlyIfNone,
    Yes,
}

/// What a trade may update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eligibility {
    pub last: Last,
    pub high_low: bool,
    pub volume: bool,
    /// Under what the volume is listed when no price was set.
    pub reason: ExclusionReason,
    /// One of its codes is settled by no row of the table.
    pub has_unknown_code: bool,
}

impl Eligibility {
    const FULL: Self = Self {
        last: Last::Yes,
        high_low: true,
        volume: true,
        reason: ExclusionReason::Other,
        has_unknown_code: false,
    };
    const UNKNOWN: Self = Self {
        last: Last::No,
        high_low: false,
        volume: true,
        reason: ExclusionReason::UnknownCode,
        has_unknown_code: true,
    };

    /// The trade counts towards volume and sets no price at all.
    pub fn is_excluded(self) -> bool {
        self.volume && self.last == Last::No && !self.high_low
    }

    fn and(self, other: Self) -> Self {
        // The reason of the first code that keeps the price away; among two, the more specific one.
        let reason = match (self.is_priceless(), other.is_priceless()) {
            (true, true) => self.reason.min(other.reason),
            (true, false) => self.reason,
            (false, true) => other.reason,
            (false, false) => ExclusionReason::Other,
        };
        Self {
            last: self.last.min(other.last),
            high_low: self.high_low && other.high_low,
            volume: self.volume && other.volume,
            reason,
            has_unknown_code: self.has_unknown_code || other.has_unknown_code,
        }
    }

    fn is_priceless(self) -> bool {
        self.last == Last::No && !self.high_low
    }
}

/// Which reading of the codes applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// As the consolidated tape's high, low and last.
    Sip,
    /// Special conditions update no price, the minute-bar practice of brokers.
    Conservative,
    /// Every valid trade counts for everything.
    All,
}

impl Policy {
    /// `None` for `auto`: by class of the symbol. The error is a sentence for the user.
    pub fn parse(text: &str) -> std::result::Result<Option<Self>, String> {
        match text {
            "auto" => Ok(None),
            "sip" => Ok(Some(Self::Sip)),
            "conservative" => Ok(Some(Self::Conservative)),
            "all" => Ok(Some(Self::All)),
            other => Err(format!("policy '{other}' is not auto, sip, conservative or all")),
        }
    }

    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Conservative => "conservative",
            Self::All => "all",
        }
    }

    /// The default of a class: the tape's rules where there is a tape.
    pub fn for_class(class: SymbolClass) -> Self {
        if class == SymbolClass::UsStock { Self::Sip } else { Self::All }
    }
}

/// One cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Yes,
    No,
    Only,
    Outside,
    Unknown,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    last: Cell,
    high_low: Cell,
    volume: Cell,
    broker: Cell,
    reason: ExclusionReason,
}

impl Row {
    /// The tape plans leave it open what the code may do.
    fn is_unsettled(&self) -> bool {
        [self.last, self.high_low, self.volume].contains(&Cell::Unknown)
    }
}

/// The table, indexed by code.
#[derive(Debug, Clone)]
pub struct ConditionTable {
    rows: [Option<Row>; CODES],
    names: [Option<String>; CODES],
    version: i32,
}

impl ConditionTable {
    /// The table that is built in.
    ///
    /// # Errors
    /// `Config` naming the line that does not parse.
    pub fn built_in() -> Result<Self> {
        Self::parse(TABLE)
    }

    /// Parses the CSV form; comment lines begin with `#`, one of them is `# version,N`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut table = Self { rows: [None; CODES], names: [const { None }; CODES], version: 0 };
        for (index, line) in text.lines().enumerate() {
            let problem =
                || Error::Config(format!("sale conditions, line {}: '{line}'", index + 1));
            if let Some(version) = line.strip_prefix("# version,") {
                table.version = version.trim().parse().map_err(|_| problem())?;
            } else if !line.starts_with('#') && !line.starts_with("code,") && !line.is_empty() {
                let (code, row) = parse_row(line).ok_or_else(problem)?;
                *table.names.get_mut(code).ok_or_else(problem)? = name_in(line);
                *table.rows.get_mut(code).ok_or_else(problem)? = Some(row);
            }
        }
        Ok(table)
    }

    /// Written on every bar.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// What a code stands for; `None` when the table has no row for it.
    pub fn name(&self, code: &str) -> Option<&str> {
        self.names.get(code.trim().parse::<usize>().ok()?)?.as_deref()
    }

    /// What a trade with these codes may update. `session` is that of its own New York time.
    pub fn judge(&self, codes: &[String], policy: Policy, session: Session) -> Eligibility {
        if policy == Policy::All || codes.is_empty() {
            return Eligibility::FULL;
        }
        codes.iter().fold(Eligibility::FULL, |so_far, code| {
            so_far.and(self.judge_code(code, policy, session))
        })
    }

    fn judge_code(&self, code: &str, policy: Policy, session: Session) -> Eligibility {
        let Some(row) = self.row(code) else { return Eligibility::UNKNOWN };
        let (last, high_low) = match policy {
            Policy::Conservative => (row.broker, row.broker),
            _ => (row.last, row.high_low),
        };
        Eligibility {
            last: last_of(last, session),
            high_low: last_of(high_low, session) == Last::Yes,
            volume: row.volume != Cell::No,
            reason: row.reason,
            has_unknown_code: row.is_unsettled(),
        }
    }

    /// The codes that no row settles, to be counted by code.
    pub fn unknown<'a>(&self, codes: &'a [String]) -> impl Iterator<Item = &'a String> {
        codes.iter().filter(|code| self.row(code).is_none_or(Row::is_unsettled))
    }

    fn row(&self, code: &str) -> Option<&Row> {
        let code = code.trim().parse::<usize>().ok()?;
        self.rows.get(code)?.as_ref()
    }
}

fn last_of(cell: Cell, session: Session) -> Last {
    match cell {
        Cell::Yes => Last::Yes,
        Cell::Only => Last::OnlyIfNone,
        Cell::Outside if session != Session::Regular => Last::Yes,
        Cell::Outside | Cell::No | Cell::Unknown => Last::No,
    }
}

fn name_in(line: &str) -> Option<String> {
    line.split(',').nth(1).map(str::to_owned)
}

fn parse_row(line: &str) -> Option<(usize, Row)> {
    let mut fields = line.split(',');
    let code = fields.next()?.parse().ok()?;
    let _name = fields.next()?;
    let mut cell = || match fields.next()? {
        "yes" => Some(Cell::Yes),
        "no" => Some(Cell::No),
        "only" => Some(Cell::Only),
        "outside" => Some(Cell::Outside),
        "unknown" => Some(Cell::Unknown),
        _ => None,
    };
    let (last, high_low, volume, broker) = (cell()?, cell()?, cell()?, cell()?);
    let reason = ExclusionReason::parse(fields.next()?)?;
    Some((code, Row { last, high_low, volume, broker, reason }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(codes: &[&str], policy: Policy, session: Session) -> (Last, bool, bool) {
        let table = ConditionTable::built_in().expect("the built-in table parses");
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        let judged = table.judge(&codes, policy, session);
        (judged.last, judged.high_low, judged.volume)
    }

    #[test]
    fn all_41_codes_are_there() {
        let table = ConditionTable::built_in().expect("the built-in table parses");
        let known = table.rows.iter().enumerate().filter(|(_, row)| row.is_some());
        assert_eq!(known.map(|(code, _)| code).collect::<Vec<_>>(), (1..=41).collect::<Vec<_>>());
        assert_eq!(table.version(), 1);
    }

    #[test]
    fn one_no_disqualifies() {
        let regular = Session::Regular;
        assert_eq!(judge(&["1", "8"], Policy::Sip, regular), (Last::Yes, true, true));
        assert_eq!(judge(&["1", "8", "12"], Policy::Sip, regular), (Last::No, false, true));
        assert_eq!(judge(&["30"], Policy::Sip, regular), (Last::OnlyIfNone, true, true));
        assert_eq!(judge(&["30"], Policy::Conservative, regular), (Last::No, false, true));
        assert_eq!(judge(&["16"], Policy::Sip, regular), (Last::No, false, false));
        assert_eq!(judge(&["12", "16"], Policy::All, regular), (Last::Yes, true, true));
        assert_eq!(judge(&["99"], Policy::Sip, regular), (Last::No, false, true));
        assert_eq!(judge(&["x"], Policy::Sip, regular), (Last::No, false, true));
    }

    #[test]
    fn form_t_sets_prices_outside_regular_hours_only() {
        assert_eq!(judge(&["1", "24"], Policy::Sip, Session::Regular), (Last::No, false, true));
        for session in [Session::Pre, Session::Post, Session::Closed] {
            assert_eq!(judge(&["1", "24"], Policy::Sip, session), (Last::Yes, true, true));
        }
        assert_eq!(judge(&["24", "12"], Policy::Sip, Session::Pre), (Last::No, false, true));
    }

    #[test]
    fn the_reason_is_that_of_the_disqualifying_code() {
        let table = ConditionTable::built_in().expect("the built-in table parses");
        let reason = |codes: &[&str]| {
            let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
            table.judge(&codes, Policy::Sip, Session::Regular).reason
        };
        assert_eq!(reason(&["1", "8", "12"]), ExclusionReason::OddLot);
        assert_eq!(reason(&["24", "12"]), ExclusionReason::OddLot);
        assert_eq!(reason(&["1", "24"]), ExclusionReason::Extended);
        assert_eq!(reason(&["3"]), ExclusionReason::AveragePrice);
        assert_eq!(reason(&["55"]), ExclusionReason::UnknownCode);
    }
}
