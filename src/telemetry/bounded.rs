//! Labels that come out of the feed, bounded in number and length: whatever it sends, a metric
//! cannot outgrow memory.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The label of everything beyond the bounds.
pub const OTHER: &str = "other";

/// The first values of a label that were seen; the rest share `OTHER`.
pub struct BoundedLabel {
    values_max: usize,
    bytes_max: usize,
    seen: Mutex<HashSet<String>>,
}

impl BoundedLabel {
    pub fn new(values_max: usize, bytes_max: usize) -> Self {
        Self { values_max, bytes_max, seen: Mutex::default() }
    }

    /// The label for `value`, and whether this is the first time that it is given.
    pub fn of<'a>(&self, value: &'a str) -> (&'a str, bool) {
        // A thread that panicked in here left a set that still is one.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(value) {
            return (value, false);
        }
        let fits = value.len() <= self.bytes_max && seen.len() < self.values_max;
        let label = if fits { value } else { OTHER };
        // `OTHER` is remembered beyond the bound, once.
        (label, !seen.contains(label) && seen.insert(label.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_are_told_apart_and_the_rest_is_one() {
        let label = BoundedLabel::new(2, 4);
        assert_eq!(label.of("77"), ("77", true));
        assert_eq!(label.of("77"), ("77", false));
        assert_eq!(label.of("too long"), (OTHER, true));
        assert_eq!(label.of("78"), (OTHER, false), "two values are known by now");
        assert_eq!(label.of("77"), ("77", false));
        let label = BoundedLabel::new(1, 4);
        assert_eq!(label.of("a"), ("a", true));
        assert_eq!(label.of("b"), (OTHER, true));
        assert_eq!(label.of("c"), (OTHER, false));
    }
}
