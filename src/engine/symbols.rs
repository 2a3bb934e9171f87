//! The symbols of a partition, interned once: class, policy, owner and windows of each.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Ownership, partition_for_key};

use super::conditions::Policy;
use super::rules::Rules;
use super::symbol_class::SymbolClass;
use super::windows::Windows;

/// Index into the table.
pub type SymbolIndex = u32;

/// What a partition knows of one symbol.
#[derive(Debug)]
pub struct Symbol {
    pub name: Arc<str>,
    pub class: SymbolClass,
    pub policy: Policy,
    /// The key hashes to this partition.
    pub at_home: bool,
    /// `(connection, since µs)` of the newest `subscribed` event that named it.
    pub owner: Option<(i64, i64)>,
    /// A trade of it was seen, and `Effects::symbols` said so: a subscription alone does not list
    /// it.
    pub is_listed: bool,
    pub windows: Windows,
}

/// All symbols seen, with an index by name.
#[derive(Debug)]
pub struct Symbols {
    by_name: FxHashMap<Arc<str>, SymbolIndex>,
    table: Vec<Symbol>,
    partition: i32,
    partition_count: u32,
}

impl Symbols {
    pub fn new(partition: i32, partition_count: u32) -> Self {
        Self { by_name: FxHashMap::default(), table: Vec::new(), partition, partition_count }
    }

    /// The index of `name`, made when it is new.
    pub fn intern(&mut self, name: &str, rules: &Rules) -> SymbolIndex {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = SymbolIndex::try_from(self.table.len()).expect("fewer than 2^32 symbols");
        let name: Arc<str> = name.into();
        let class = rules.classes.class_of(&name);
        let home = partition_for_key(name.as_bytes(), self.partition_count);
        self.table.push(Symbol {
            class,
            policy: rules.policy.unwrap_or(Policy::for_class(class)),
            at_home: home == self.partition,
            owner: None,
            is_listed: false,
            windows: Windows::new(rules.intervals.len()),
            name: Arc::clone(&name),
        });
        self.by_name.insert(name, index);
        index
    }

    pub fn get(&self, index: SymbolIndex) -> &Symbol {
        &self.table[index as usize]
    }

    pub fn get_mut(&mut self, index: SymbolIndex) -> &mut Symbol {
        &mut self.table[index as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = (SymbolIndex, &Symbol)> {
        (0..).zip(&self.table)
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether a symbol belongs to this partition, without interning it.
    pub fn is_home(&self, name: &str) -> bool {
        partition_for_key(name.as_bytes(), self.partition_count) == self.partition
    }

    /// Every owner, for the changelog.
    pub fn owners(&self) -> Vec<Ownership> {
        let owned = self.table.iter().filter_map(|symbol| {
            let (connection, since_us) = symbol.owner?;
            Some(Ownership { symbol: symbol.name.to_string(), connection, since_us })
        });
        owned.collect()
    }
}
