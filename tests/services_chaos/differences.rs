//! What differs, counted and the first of it shown; and how much was compared.

use std::collections::BTreeMap;

use crate::bars::Content;

/// Of the differences so many are told in full.
const SHOWN: usize = 25;

#[derive(Debug, Default)]
pub struct Differences {
    pub count: usize,
    pub shown: Vec<String>,
    pub compared: BTreeMap<&'static str, usize>,
}

impl Differences {
    pub fn add(&mut self, difference: String) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(difference);
        }
    }

    pub fn add_many(&mut self, count: usize, what: &str) {
        if count > 0 {
            self.add(format!("{what}: {count}"));
            self.count += count - 1;
        }
    }

    /// What was found of a bar against what the oracle says.
    pub fn compare(&mut self, place: impl Fn() -> String, wanted: &Content, found: &Content) {
        if !wanted.is_same(found) {
            self.add(format!("{}: {found:?}, the oracle says {wanted:?}", place()));
        }
    }

    /// Takes over what was found elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.shown.extend(other.shown);
        self.shown.truncate(SHOWN);
        for (what, count) in other.compared {
            self.compared(what, count);
        }
    }

    pub fn compared(&mut self, what: &'static str, count: usize) {
        *self.compared.entry(what).or_default() += count;
    }
}
