//! Errors named by their consequence: what the caller has to do, decided where the error is made.

use std::process::ExitCode;

/// Every fallible call of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The message is one line for the user: the thing, what is wrong with it, and the remedy. It never
/// holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Arguments, configuration or input are wrong: the user mends them. Exit code 2.
    #[error("{0}")]
    Config(String),
    /// A dependency is absent or refuses: retry with backoff while running, exit code 3 at start.
    #[error("{0}")]
    Unavailable(String),
    /// The transaction cannot go on: abort, rebuild owned partitions from the changelog, seek.
    #[error("{0}")]
    Restore(String),
    /// Ownership was lost (fenced, or out of the group): join again with a new session.
    #[error("{0}")]
    Rejoin(String),
    /// A second signal, or the drain deadline passed: stop at once. Exit code 130.
    #[error("{0}")]
    Interrupted(String),
    /// The work was done and found differences. Exit code 1.
    #[error("{0}")]
    Differences(String),
    /// An invariant is broken: stop, since going on would write wrong numbers. Exit code 3.
    #[error("bug: {0}")]
    Bug(String),
}

impl Error {
    /// The exit code of a process that ends with this error.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Differences(_) => 1,
            Self::Config(_) => 2,
            Self::Unavailable(_) | Self::Restore(_) | Self::Rejoin(_) | Self::Bug(_) => 3,
            Self::Interrupted(_) => 130,
        })
    }
}
