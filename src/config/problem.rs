//! What is wrong with a configuration, said so that it can be mended, and all of it at once.

use std::fmt;

use super::origin::Origin;
use crate::error::Error;

/// One thing to mend. `value` is already masked where it is a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The dotted key, or the file or variable itself.
    pub subject: String,
    pub value: Option<String>,
    pub origin: Option<Origin>,
    pub problem: String,
    pub remedy: String,
}

impl Problem {
    /// A problem with a place that has no value to show.
    pub fn of(subject: impl Into<String>, problem: &str, remedy: &str) -> Self {
        Self {
            subject: subject.into(),
            value: None,
            origin: None,
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        }
    }

    /// Adds the layer that made it.
    #[must_use]
    pub fn set_by(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

/// One error for all of them: a single line when there is one, a list otherwise.
pub fn into_error(problems: &[Problem]) -> Error {
    if let [only] = problems {
        return Error::Config(format!("configuration: {only}"));
    }
    let mut text = format!("configuration: {} problems", problems.len());
    for problem in problems {
        text.push_str(&format!("\n  - {problem}"));
    }
    Error::Config(text)
}
