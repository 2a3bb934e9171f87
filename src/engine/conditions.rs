//! Sale conditions as data: what a trade may update, from its codes, its class and its time.
//!
//! The table is `config/sale_conditions.csv`, after the consolidated tape plans; codes combine by
//! AND, so one "no" disqualifies.

use compact_str::CompactString;

use crate::error::{Error, Result};
use crate::model::{ExclusionReason, Session};

use super::symbol_class::SymbolClass;

/// The text of the table that is built in.
const TABLE: &str = include_str!("../../config/sale_conditions.csv");
/// The columns of the CSV form.
const HEADER: &str = "code,name,last,high_low,volume,broker,reason";
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

impl Cell {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "yes" => Some(Self::Yes),
            "no" => Some(Self::No),
            "only" => Some(Self::Only),
            "outside" => Some(Self::Outside),
            "unknown" => Some(Self::Unknown),
            _ => None,
        }
    }

    fn last(self, in_regular_hours: bool) -> Last {
        match self {
            Self::Yes => Last::Yes,
            Self::Only => Last::OnlyIfNone,
            Self::Outside if !in_regular_hours => Last::Yes,
            Self::Outside | Self::No | Self::Unknown => Last::No,
        }
    }
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
    fn rights(&self, reading: Reading) -> Eligibility {
        let (last, high_low) = match reading.policy {
            Policy::Conservative => (self.broker, self.broker),
            _ => (self.last, self.high_low),
        };
        let is_unsettled = [last, high_low, self.volume].contains(&Cell::Unknown);
        Eligibility {
            last: last.last(reading.in_regular_hours),
            high_low: high_low.last(reading.in_regular_hours) == Last::Yes,
            volume: self.volume != Cell::No,
            reason: if is_unsettled { ExclusionReason::UnknownCode } else { self.reason },
            has_unknown_code: is_unsettled,
        }
    }
}

/// How the table is read: a column of it, and whether New York trades in regular hours.
#[derive(Debug, Clone, Copy)]
struct Reading {
    policy: Policy,
    in_regular_hours: bool,
}

impl Reading {
    const ALL: [Self; 4] = [
        Self { policy: Policy::Sip, in_regular_hours: false },
        Self { policy: Policy::Sip, in_regular_hours: true },
        Self { policy: Policy::Conservative, in_regular_hours: false },
        Self { policy: Policy::Conservative, in_regular_hours: true },
    ];

    /// Its place in `ALL`.
    fn index(policy: Policy, in_regular_hours: bool) -> usize {
        2 * usize::from(policy == Policy::Conservative) + usize::from(in_regular_hours)
    }
}

/// The table, worked out for every way of reading it, by code.
#[derive(Debug, Clone)]
pub struct ConditionTable {
    rights: [[Eligibility; CODES]; Reading::ALL.len()],
    /// What the codes stand for; `None`: no row.
    names: [Option<String>; CODES],
    version: i32,
}

impl ConditionTable {
    /// The table that is built in.
    ///
    /// # Errors
    /// `Config` naming the line that does not parse.
    pub fn built_in() -> Result<Self> {
        Self::parse(TABLE, "built-in sale conditions")
    }

    /// Parses the CSV form; comment lines begin with `#`, one of them is `# version,N`. A code
    /// without a row is unknown.
    ///
    /// # Errors
    /// `Config` naming `source`, the line and what is wrong with it; no version above 0; no row.
    pub fn parse(text: &str, source: &str) -> Result<Self> {
        let mut table = Self {
            rights: [[Eligibility::UNKNOWN; CODES]; Reading::ALL.len()],
            names: [const { None }; CODES],
            version: 0,
        };
        for (number, line) in (1..).zip(text.lines()) {
            let taken = match line.strip_prefix("# version,") {
                Some(version) => table.take_version(version),
                None if is_data(line) => table.take_row(line),
                None => Ok(()),
            };
            taken.map_err(|problem| {
                Error::Config(format!("{source}, line {number}: '{line}': {problem}"))
            })?;
        }
        if table.version == 0 {
            let remedy = "write a line '# version,2' with a number above 0";
            return Err(Error::Config(format!("{source} has no version; {remedy}")));
        }
        if table.names.iter().all(Option::is_none) {
            let remedy = "write one as 12,Odd lot,no,no,yes,no,odd_lot";
            return Err(Error::Config(format!("{source} has no row; {remedy}")));
        }
        Ok(table)
    }

    fn take_version(&mut self, text: &str) -> std::result::Result<(), String> {
        if self.version != 0 {
            return Err("a second version; keep one".into());
        }
        let version = text.trim().parse().ok().filter(|version| *version > 0);
        self.version = version.ok_or("the version is no whole number above 0")?;
        Ok(())
    }

    fn take_row(&mut self, line: &str) -> std::result::Result<(), String> {
        let (code, name, row) = parse_row(line)?;
        if self.names[code].replace(name.to_owned()).is_some() {
            return Err(format!("code {code} has a row already; keep one"));
        }
        for (rights, reading) in self.rights.iter_mut().zip(Reading::ALL) {
            rights[code] = row.rights(reading);
        }
        Ok(())
    }

    /// Written on every bar; above 0.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// What a code stands for; `None` when the table has no row for it.
    pub fn name(&self, code: &str) -> Option<&str> {
        self.names[parse_code(code)?].as_deref()
    }

    /// What a trade with these codes may update. `session` is that of its own New York time.
    pub fn judge(&self, codes: &[CompactString], policy: Policy, session: Session) -> Eligibility {
        if policy == Policy::All || codes.is_empty() {
            return Eligibility::FULL;
        }
        let rights = &self.rights[Reading::index(policy, session == Session::Regular)];
        codes.iter().fold(Eligibility::FULL, |so_far, code| so_far.and(rights_of(code, rights)))
    }

    /// Those of the codes that no row settles under the policy, to be counted by code.
    pub fn unknown<'a>(
        &self,
        codes: &'a [CompactString],
        policy: Policy,
    ) -> impl Iterator<Item = &'a CompactString> {
        // Hours settle nothing, so either reading of the policy tells.
        let rights = &self.rights[Reading::index(policy, true)];
        codes
            .iter()
            .filter(move |code| policy != Policy::All && rights_of(code, rights).has_unknown_code)
    }
}

fn rights_of(code: &str, rights: &[Eligibility; CODES]) -> Eligibility {
    parse_code(code).map_or(Eligibility::UNKNOWN, |code| rights[code])
}

/// A code as the feed writes it: one or two digits, no leading zero. Anything else is unknown.
fn parse_code(text: &str) -> Option<usize> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| usize::from(byte - b'0'));
    let code = match *text.as_bytes() {
        [only] => digit(only)?,
        [tens, ones] if tens != b'0' => digit(tens)? * 10 + digit(ones)?,
        _ => return None,
    };
    (code < CODES).then_some(code)
}

fn is_data(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with('#') && line != HEADER
}

/// The error says what is wrong and what to write instead.
fn parse_row(line: &str) -> std::result::Result<(usize, &str, Row), String> {
    let fields: Vec<&str> = line.split(',').collect();
    let [code, name, last, high_low, volume, broker, reason] = fields[..] else {
        return Err(format!("{} fields; write {HEADER}", fields.len()));
    };
    let code = parse_code(code).ok_or_else(|| format!("the code is no number below {CODES}"))?;
    let cell = |column: &str, text: &str, words: &[&str]| {
        let cell = Cell::parse(text).filter(|_| words.contains(&text));
        cell.ok_or_else(|| format!("{column} is '{text}'; use {}", words.join(", ")))
    };
    let row = Row {
        last: cell("last", last, &["yes", "no", "only", "outside", "unknown"])?,
        high_low: cell("high_low", high_low, &["yes", "no", "outside", "unknown"])?,
        volume: cell("volume", volume, &["yes", "no", "unknown"])?,
        broker: cell("broker", broker, &["yes", "no", "outside", "unknown"])?,
        reason: ExclusionReason::parse(reason).ok_or_else(|| unknown_reason(reason))?,
    };
    let sets_price = [row.last, row.high_low, row.broker].iter().any(|cell| *cell != Cell::No);
    if row.volume == Cell::No && sets_price {
        return Err("no volume, but a price; a code without volume sets none: use no".into());
    }
    Ok((code, name, row))
}

fn unknown_reason(text: &str) -> String {
    let words: Vec<&str> = ExclusionReason::ALL.iter().map(|one| one.as_str()).collect();
    format!("reason is '{text}'; use {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Conditions;

    fn judge(codes: &[&str], policy: Policy, session: Session) -> (Last, bool, bool) {
        let table = ConditionTable::built_in().expect("the built-in table parses");
        let codes: Conditions = codes.iter().copied().map(Into::into).collect();
        let judged = table.judge(&codes, policy, session);
        (judged.last, judged.high_low, judged.volume)
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
            let codes: Conditions = codes.iter().copied().map(Into::into).collect();
            table.judge(&codes, Policy::Sip, Session::Regular).reason
        };
        assert_eq!(reason(&["1", "8", "12"]), ExclusionReason::OddLot);
        assert_eq!(reason(&["24", "12"]), ExclusionReason::OddLot);
        assert_eq!(reason(&["1", "24"]), ExclusionReason::Extended);
        assert_eq!(reason(&["3"]), ExclusionReason::AveragePrice);
        assert_eq!(reason(&["55"]), ExclusionReason::UnknownCode);
    }

    #[test]
    fn a_code_is_what_the_feed_writes_and_nothing_like_it() {
        let unknown = (Last::No, false, true);
        for code in ["0", "42", "63", "64", "99", "128", "", " ", "x", "-1", "+1", "01", "1 ", "１"]
        {
            assert_eq!(judge(&[code], Policy::Sip, Session::Regular), unknown, "'{code}'");
            let table = ConditionTable::built_in().expect("the built-in table parses");
            let codes = [code.into(), "1".into()];
            let counted: Vec<_> = table.unknown(&codes, Policy::Sip).collect();
            assert_eq!(counted, [code], "counted by its text");
        }
    }

    #[test]
    fn an_open_cell_counts_as_unknown_under_the_policy_that_reads_it() {
        let table = ConditionTable::built_in().expect("the built-in table parses");
        let codes = ["11", "38", "40"].map(Into::into);
        let counted = |policy| table.unknown(&codes, policy).cloned().collect::<Vec<_>>();
        assert_eq!(counted(Policy::Sip), ["38", "40"]);
        assert_eq!(counted(Policy::Conservative), ["11", "38", "40"]);
        assert!(counted(Policy::All).is_empty(), "nobody reads them");
    }

    #[test]
    fn a_table_of_ones_own_replaces_every_row() {
        let text = "# version,7\n12,Odd lot,yes,outside,yes,no,odd_lot\n\n# a remark\n";
        let table = ConditionTable::parse(text, "mine.csv").expect("parses");
        assert_eq!(table.version(), 7);
        let judge = |code: &str, session| {
            let judged = table.judge(&[code.into()], Policy::Sip, session);
            (judged.last, judged.high_low, judged.volume)
        };
        assert_eq!(judge("12", Session::Regular), (Last::Yes, false, true));
        assert_eq!(judge("12", Session::Post), (Last::Yes, true, true));
        assert_eq!(judge("1", Session::Regular), (Last::No, false, true), "has no row here");
    }

    #[test]
    fn a_line_that_does_not_parse_is_named_with_what_is_wrong() {
        let cases = [
            ("1,Regular,maybe,yes,yes,yes,other", "last is 'maybe'; use yes, no, only"),
            ("1,Regular,yes,only,yes,yes,other", "high_low is 'only'"),
            ("1,Regular,yes,yes,only,yes,other", "volume is 'only'"),
            ("1,Regular,yes,yes,yes,only,other", "broker is 'only'"),
            ("1,Regular,yes,yes,yes,yes,luck", "reason is 'luck'; use odd_lot"),
            ("1,Regular,yes,yes,yes,yes", "6 fields; write code,name"),
            ("1,Regular, twice,yes,yes,yes,yes,other", "8 fields"),
            ("64,Far,yes,yes,yes,yes,other", "no number below 64"),
            ("01,Regular,yes,yes,yes,yes,other", "no number below 64"),
            ("16,Close,yes,no,no,no,other", "no volume, but a price"),
            ("2,Again,yes,yes,yes,yes,other", "code 2 has a row already"),
            ("# version,9", "a second version"),
        ];
        for (line, problem) in cases {
            let text = format!("# version,8\n2,Acquisition,yes,yes,yes,yes,other\n{line}\n");
            let told = ConditionTable::parse(&text, "mine.csv").expect_err(line).to_string();
            assert!(told.contains(&format!("mine.csv, line 3: '{line}'")), "{told}");
            assert!(told.contains(problem), "{told}");
        }
        for version in ["0", "-1", "x", ""] {
            let text = format!("# version,{version}\n1,Regular,yes,yes,yes,yes,other\n");
            let told = ConditionTable::parse(&text, "mine.csv").expect_err(version).to_string();
            assert!(told.contains("line 1") && told.contains("above 0"), "{told}");
        }
        for (text, problem) in
            [("1,A,yes,yes,yes,yes,other", "no version"), ("# version,1", "no row")]
        {
            let told = ConditionTable::parse(text, "mine.csv").expect_err(text).to_string();
            assert!(told.contains(problem), "{told}");
        }
    }
}
