//! Where a value came from, so that a problem can be mended where it was made.

use std::collections::BTreeMap;
use std::fmt;

/// The layer that set a value; a later one wins over an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file given with `--config`.
    File(String),
    /// A variable of `.env` in the working directory.
    DotEnv(String),
    /// A variable of the process environment.
    Environment(String),
    /// A flag of the command.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {path}"),
            Self::DotEnv(name) => write!(f, ".env, {name}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// By dotted key; what is not in it has its default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Notes the newest layer that set `path`.
    pub fn set(&mut self, path: &str, origin: Origin) {
        self.0.insert(path.to_owned(), origin);
    }

    /// `None`: the default.
    pub fn of(&self, path: &str) -> Option<&Origin> {
        self.0.get(path)
    }
}
