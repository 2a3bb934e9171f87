//! Pages of rows, newest first, each in the order of the table. A cursor names the oldest row of
//! the page before, not a number of rows: what is written meanwhile moves no row to another page.

use std::fmt;

use super::problem::Problem;
use crate::error::Result as CrateResult;
use crate::model::{Bar, BarRevision, FeedGap, GapCause, Judged};

/// Rows of the cursor's own instant are read again and left out; first so many at most.
const SPARE_ROWS: usize = 64;

/// Where a row stands in the order of its table: its instant, ms since the epoch, and what tells
/// rows of one instant apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(i64, i64, i64);

impl Key {
    /// The form of its text, as a regular expression.
    pub const PATTERN: &'static str = r"^-?[0-9]{1,19}(\.-?[0-9]{1,19}){2}$";

    pub fn parse(text: &str) -> Result<Self, Problem> {
        let bad = || {
            let remedy = "give the one of the page before, from its Link header or 'next'";
            Problem::bad_parameter(format!("'cursor' is '{text}'; {remedy}"))
        };
        let parts: Option<Vec<i64>> = text.split('.').map(part).collect();
        match parts.as_deref() {
            Some([instant_ms, second, third]) => Ok(Self(*instant_ms, *second, *third)),
            _ => Err(bad()),
        }
    }
}

fn part(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = (1..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: i128 = text.parse().ok().filter(|_| is_number)?;
    Some(number.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A row that pages can be cut at.
pub(super) trait Keyed {
    fn key(&self) -> Key;
}

impl Keyed for Bar {
    fn key(&self) -> Key {
        Key(self.window.start_ms, 0, 0)
    }
}

impl Keyed for BarRevision {
    fn key(&self) -> Key {
        Key(self.bar.window.start_ms, self.bar.generation, self.bar.revision)
    }
}

impl Keyed for Judged {
    fn key(&self) -> Key {
        Key(self.trade.trade_time_ms, self.trade.connection, self.trade.seq)
    }
}

impl Keyed for FeedGap {
    fn key(&self) -> Key {
        // Causes stand in the order of their words.
        let before = |cause: &&GapCause| cause.as_str() < self.cause.as_str();
        let rank = GapCause::ALL.iter().filter(before).count();
        Key(self.from_ms, self.connection, rank as i64)
    }
}

/// `[from_ms, to_ms)`, at most `limit` rows of it, those before `cursor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub from_ms: i64,
    pub to_ms: i64,
    /// At least 1.
    pub limit: usize,
    pub cursor: Option<Key>,
}

/// Rows in the order of the table, and the key to go on with when there are older ones.
#[derive(Debug, PartialEq)]
pub(super) struct Page<R> {
    pub rows: Vec<R>,
    pub next: Option<Key>,
}

impl<R: Keyed> Page<R> {
    /// The newest rows of the span before its cursor. `newest(to_ms, limit)` reads the newest rows
    /// of `[from_ms, to_ms)`, in ascending order.
    ///
    /// # Errors
    /// Those of `newest`.
    pub fn read(
        span: &Span,
        newest: impl Fn(i64, usize) -> CrateResult<Vec<R>>,
    ) -> CrateResult<Self> {
        let Some(cursor) = span.cursor else {
            return Ok(Self::cut(newest(span.to_ms, span.limit + 1)?, span));
        };
        let to_ms = span.to_ms.min(cursor.0.saturating_add(1)).max(span.from_ms);
        let mut spare = SPARE_ROWS;
        loop {
            let asked = span.limit + 1 + spare;
            let mut rows = newest(to_ms, asked)?;
            let is_all = rows.len() < asked;
            rows.retain(|row| row.key() < cursor);
            if is_all || rows.len() > span.limit {
                return Ok(Self::cut(rows, span));
            }
            spare *= 8;
        }
    }

    /// The page of a span out of all its rows, in ascending order.
    pub fn of(mut rows: Vec<R>, span: &Span) -> Self {
        rows.retain(|row| span.cursor.is_none_or(|cursor| row.key() < cursor));
        Self::cut(rows, span)
    }

    fn cut(mut rows: Vec<R>, span: &Span) -> Self {
        let older = rows.len().saturating_sub(span.limit);
        rows.drain(..older);
        let next = rows.first().filter(|_| older > 0).map(Keyed::key);
        Self { rows, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed for Key {
        fn key(&self) -> Key {
            *self
        }
    }

    /// Many rows of one instant, and few of others.
    fn table() -> Vec<Key> {
        let crowd = (0..300).map(|n| Key(5_000, 1, n));
        let others = [(1_000, 1), (1_000, 2), (9_000, 1), (9_000, 7), (9_000, 8)];
        let mut rows: Vec<Key> = others.iter().map(|(at, seq)| Key(*at, 0, *seq)).collect();
        rows.extend(crowd);
        rows.sort();
        rows
    }

    fn page(span: &Span) -> Page<Key> {
        let newest = |to_ms: i64, limit: usize| {
            let within = |key: &Key| (span.from_ms..to_ms).contains(&key.0);
            let rows: Vec<Key> = table().into_iter().filter(within).collect();
            Ok(rows[rows.len().saturating_sub(limit)..].to_vec())
        };
        Page::read(span, newest).expect("memory does not fail")
    }

    #[test]
    fn pages_together_are_the_table_however_long_they_are() {
        for limit in [1, 2, 3, 64, 299, 304, 305, 1_000] {
            let mut span = Span { from_ms: 1_000, to_ms: 10_000, limit, cursor: None };
            let mut rows: Vec<Key> = Vec::new();
            loop {
                let page = page(&span);
                assert!(page.rows.len() <= limit && page.rows.is_sorted());
                rows.splice(0..0, page.rows);
                let Some(next) = page.next else { break };
                span.cursor = Some(Key::parse(&next.to_string()).expect("its own text"));
            }
            assert_eq!(rows, table(), "{limit} rows a page");
        }
    }

    #[test]
    fn a_cursor_outside_of_the_range_gives_what_the_range_has() {
        let span = |cursor| Span { from_ms: 1_000, to_ms: 2_000, limit: 9, cursor: Some(cursor) };
        assert_eq!(page(&span(Key(99_000, 0, 0))).rows.len(), 2);
        assert_eq!(page(&span(Key(-5, 0, 0))), Page { rows: vec![], next: None });
        assert_eq!(page(&span(Key(i64::MAX, 0, 0))).rows.len(), 2);
    }

    #[test]
    fn cursors_are_three_numbers() {
        assert_eq!(Key::parse("1.-2.3").expect("three"), Key(1, -2, 3));
        let most = "9".repeat(19);
        assert_eq!(
            Key::parse(&format!("{most}.-{most}.0")).expect("cut"),
            Key(i64::MAX, i64::MIN, 0)
        );
        for text in ["", "1", "1.2", "1.2.3.4", "1..3", "a.b.c", "+1.2.3", "1.2.3 ", "--1.2.3"] {
            Key::parse(text).expect_err(text);
        }
    }
}
