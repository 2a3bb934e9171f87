//! Who may read a key of the feed: the vendor allows one connection a key, so of several producers
//! with one key one holds its lease, and the others stand by.

/// How a producer stands to the lease of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenure {
    /// The lease is this producer's.
    Held,
    /// Whoever keeps the leases was asked and has not answered: what is open stays open, nothing
    /// new is opened.
    Asked,
    /// Nobody else is known to hold it, and nobody can be asked: the feed has no replay, so it is
    /// read.
    Presumed,
    /// Another producer holds it.
    Elsewhere,
    /// There can be no lease, for a reason that has to be mended.
    Refused(String),
}
