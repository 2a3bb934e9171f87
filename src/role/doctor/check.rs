//! A finding of the doctor, and all of them together: as lines, as one object, as an exit code.

use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::role::range_query;

/// Letters of the longest name of a check.
pub const NAME_WIDTH: usize = 15;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    Fail,
    /// It could not be looked at, or there is nothing to look at.
    Skip,
}

/// What one check found; the text holds the remedy, where one is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub outcome: Outcome,
    pub text: String,
    /// Since the checks began, ms.
    pub after_ms: u64,
    /// It failed because something does not answer.
    #[serde(skip)]
    is_absent: bool,
}

impl Finding {
    fn new(check: &'static str, outcome: Outcome, text: impl Into<String>) -> Self {
        Self { check, outcome, text: text.into(), after_ms: 0, is_absent: false }
    }

    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Outcome::Ok, text)
    }

    pub fn warn(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Outcome::Warn, text)
    }

    pub fn fail(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Outcome::Fail, text)
    }

    pub fn skip(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Outcome::Skip, text)
    }

    /// A failure because something does not answer.
    pub fn absent(check: &'static str, text: impl Into<String>) -> Self {
        Self { is_absent: true, ..Self::fail(check, text) }
    }

    /// A failure in the error's own words.
    pub fn of(check: &'static str, error: &Error) -> Self {
        match error {
            Error::Unavailable(text) => Self::absent(check, text),
            other => Self::fail(check, other.to_string()),
        }
    }

    pub fn after(self, elapsed: Duration) -> Self {
        let after_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Self { after_ms, ..self }
    }

    pub fn is_failure(&self) -> bool {
        self.outcome == Outcome::Fail
    }

    fn line(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
            Outcome::Skip => "skip",
        };
        format!("{outcome:<4}  {:<NAME_WIDTH$}  {}\n", self.check, self.text)
    }
}

/// Every finding so far.
#[derive(Debug, Serialize)]
pub struct Report {
    version: &'static str,
    checks: Vec<Finding>,
    #[serde(skip)]
    is_json: bool,
}

impl Report {
    pub fn new(is_json: bool) -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), checks: Vec::new(), is_json }
    }

    /// # Errors
    /// `Config` when the output cannot be written.
    pub fn add(&mut self, finding: Finding) -> Result<()> {
        let line = finding.line();
        self.checks.push(finding);
        if self.is_json { Ok(()) } else { range_query::print(line.as_bytes()) }
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// What is printed when all is known.
    pub fn ending(&self) -> String {
        let [ok, warn, fail, skip] = [Outcome::Ok, Outcome::Warn, Outcome::Fail, Outcome::Skip]
            .map(|outcome| self.count(outcome));
        if !self.is_json {
            return format!("\n{ok} ok, {warn} warnings, {fail} failed, {skip} skipped\n");
        }
        let mut object = serde_json::to_value(self).unwrap_or_default();
        for (name, count) in [("ok", ok), ("warned", warn), ("failed", fail), ("skipped", skip)] {
            object[name] = count.into();
        }
        format!("{object:#}\n")
    }

    /// # Errors
    /// `Unavailable` when something does not answer, else `Differences`, when a check failed.
    pub fn verdict(&self) -> Result<()> {
        let failed: Vec<&Finding> = self.checks.iter().filter(|one| one.is_failure()).collect();
        // What does not answer comes first: the rest may follow from it.
        let first = failed.iter().find(|one| one.is_absent).or(failed.first());
        let Some(first) = first else { return Ok(()) };
        let sentence = match failed.len() {
            1 => format!("{}: {}", first.check, first.text),
            count => format!("{count} checks failed, first {}: {}", first.check, first.text),
        };
        Err(match first.is_absent {
            true => Error::Unavailable(sentence),
            false => Error::Differences(sentence),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        let mut report = Report::new(true);
        findings.into_iter().for_each(|one| report.add(one).expect("nothing is printed"));
        report
    }

    #[test]
    fn warnings_pass_and_the_absent_comes_before_what_follows_from_it() {
        let passing = vec![Finding::ok("a", "x"), Finding::warn("b", "y"), Finding::skip("c", "z")];
        assert_eq!(report(passing.clone()).verdict(), Ok(()));
        let failed = [passing, vec![Finding::fail("d", "mend it")]].concat();
        assert_eq!(report(failed.clone()).verdict(), Err(Error::Differences("d: mend it".into())));
        let away = Finding::of("kafka", &Error::Unavailable("no broker".into()));
        let away = report([failed, vec![away]].concat());
        let sentence = "2 checks failed, first kafka: no broker";
        assert_eq!(away.verdict(), Err(Error::Unavailable(sentence.into())));
        let object: serde_json::Value = serde_json::from_str(&away.ending()).expect("an object");
        assert_eq!((&object["failed"], &object["warned"]), (&2.into(), &1.into()));
        assert_eq!(object["checks"][4]["outcome"], "fail");
    }

    #[test]
    fn a_line_is_a_line() {
        let finding = Finding::warn("spool", "little room");
        assert_eq!(finding.line(), "warn  spool            little room\n");
    }
}
