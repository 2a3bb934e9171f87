//! What a smoke test found, told line by line while it looks, or as one object at the end.

use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::role::range_query;
use crate::role::smoke_test::sample::SYMBOL;

/// How one look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Found,
    Missing,
    Skipped,
}

/// One place that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// A table, `http api`, or `sent`.
    pub place: String,
    pub outcome: Outcome,
    pub detail: String,
    /// Since the trades were made, ms.
    pub after_ms: u64,
}

/// Everything so far.
#[derive(Debug, Serialize)]
pub struct Report {
    symbol: &'static str,
    steps: Vec<Step>,
    /// What is wrong with the group that should have read the trades.
    pub problems: Vec<String>,
    #[serde(skip)]
    is_json: bool,
}

impl Report {
    pub fn new(is_json: bool) -> Self {
        Self { symbol: SYMBOL, steps: Vec::new(), problems: Vec::new(), is_json }
    }

    /// # Errors
    /// `Config` when the output cannot be written.
    pub fn add(&mut self, step: Step) -> Result<()> {
        let line = line(&step);
        self.steps.push(step);
        if self.is_json { Ok(()) } else { range_query::print(line.as_bytes()) }
    }

    pub fn has_missing(&self) -> bool {
        self.missing().next().is_some()
    }

    fn missing(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.outcome == Outcome::Missing)
    }

    /// What is printed when all is known.
    pub fn ending(&self, connection: i64) -> String {
        if self.is_json {
            let mut object = serde_json::to_value(self).unwrap_or_default();
            object["connection"] = connection.into();
            return format!("{object:#}\n");
        }
        self.problems.iter().map(|problem| format!("problem  {problem}\n")).collect()
    }

    /// # Errors
    /// `Differences` naming the first place where the trades are not, and how many more there are.
    pub fn verdict(&self, within: Duration) -> Result<()> {
        let Some(first) = self.missing().next() else { return Ok(()) };
        let more = match self.missing().count() - 1 {
            0 => String::new(),
            count => format!(" ({count} more above)"),
        };
        let why = match self.problems.first() {
            Some(problem) => problem.clone(),
            None => "`ticksmith status` and the log of the stream say more".to_owned(),
        };
        Err(Error::Differences(format!(
            "{SYMBOL} is not as sent in {} within {} s: {}{more}; {why}",
            first.place,
            within.as_secs(),
            first.detail
        )))
    }
}

fn line(step: &Step) -> String {
    let outcome = match step.outcome {
        Outcome::Found => "ok",
        Outcome::Missing => "missing",
        Outcome::Skipped => "skipped",
    };
    let seconds = step.after_ms as f64 / 1e3;
    format!("{outcome:<8} {:<16} {:>5.1} s  {}\n", step.place, seconds, step.detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(place: &str, outcome: Outcome) -> Step {
        let detail = format!("what {place} has");
        Step { place: place.to_owned(), outcome, detail, after_ms: 1_234 }
    }

    fn report(steps: &[Step]) -> Report {
        let mut report = Report::new(true);
        steps.iter().for_each(|step| report.add(step.clone()).expect("nothing is printed"));
        report
    }

    #[test]
    fn what_is_missing_first_is_named_with_the_reason() {
        let found = report(&[step("sent", Outcome::Found), step("http api", Outcome::Skipped)]);
        assert_eq!(found.verdict(Duration::from_secs(30)), Ok(()));
        let mut missing =
            report(&[step("trades_bronze", Outcome::Missing), step("b", Outcome::Missing)]);
        missing.problems.push("nobody reads".into());
        let sentence = missing.verdict(Duration::from_secs(30)).expect_err("missing").to_string();
        let expected = "SMOKE:TEST is not as sent in trades_bronze within 30 s: what trades_bronze \
                        has (1 more above); nobody reads";
        assert_eq!(sentence, expected);
        let object: serde_json::Value =
            serde_json::from_str(&missing.ending(77)).expect("an object");
        assert_eq!(object["connection"], 77);
        assert_eq!(object["problems"][0], "nobody reads");
        assert_eq!(object["steps"][0]["outcome"], "missing");
    }

    #[test]
    fn a_line_has_its_columns() {
        let expected = "ok       trades_bronze      1.2 s  what trades_bronze has\n";
        assert_eq!(line(&step("trades_bronze", Outcome::Found)), expected);
    }
}
