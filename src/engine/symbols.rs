//! The symbols of a partition, interned once: class, policy, owner and windows of each.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Loss, OwnedSpan, SymbolFeed, partition_for_key};

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
    /// Who delivered it, as far back as its windows reach; the last one owns it.
    pub spans: Vec<OwnedSpan>,
    pub losses: Vec<Loss>,
    /// Spans or losses changed since the state was last collected.
    pub feed_unsaved: bool,
    /// Spans or losses changed once: the changelog has, or will have, a record of them.
    pub has_feed: bool,
    /// A believable trade of it was seen, and `Effects::symbols` said so: a subscription alone does
    /// not list it.
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

    /// The index of `name`, made when it is new; `None` when it belongs to another partition, so
    /// that nothing is kept for strays.
    pub fn intern_at_home(&mut self, name: &str, rules: &Rules) -> Option<SymbolIndex> {
        if let Some(index) = self.by_name.get(name) {
            return Some(*index);
        }
        self.is_home(name).then(|| self.intern(name, rules))
    }

    /// The index of `name`, made when it is new.
    pub fn intern(&mut self, name: &str, rules: &Rules) -> SymbolIndex {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = SymbolIndex::try_from(self.table.len()).expect("fewer than 2^32 symbols");
        let name: Arc<str> = name.into();
        let class = rules.classes.class_of(&name);
        self.table.push(Symbol {
            class,
            policy: rules.policy_for(class),
            spans: Vec::new(),
            losses: Vec::new(),
            feed_unsaved: false,
            has_feed: false,
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

    /// Symbols whose feed the changelog has a record of.
    pub fn with_feed(&self) -> usize {
        self.table.iter().filter(|symbol| symbol.has_feed).count()
    }

    fn is_home(&self, name: &str) -> bool {
        partition_for_key(name.as_bytes(), self.partition_count) == self.partition
    }

    /// Those that a connection of the given kind owns or owned as far back as windows reach, and
    /// the named ones. By name: an index depends on who was seen first.
    pub fn fed_by(&self, is_fed_by: impl Fn(i64) -> bool, named: &[String]) -> Vec<SymbolIndex> {
        let is_fed = |symbol: &Symbol| symbol.spans.iter().any(|one| is_fed_by(one.connection));
        let fed = self.iter().filter(|(_, symbol)| is_fed(symbol)).map(|(index, _)| index);
        let named = named.iter().filter_map(|name| self.by_name.get(name.as_str()).copied());
        let mut found: Vec<SymbolIndex> = fed.chain(named).collect();
        found.sort_unstable_by(|a, b| self.get(*a).name.cmp(&self.get(*b).name));
        found.dedup();
        found
    }
}

impl Symbol {
    /// For the changelog.
    pub fn feed(&self) -> SymbolFeed {
        SymbolFeed {
            symbol: self.name.to_string(),
            spans: self.spans.clone(),
            losses: self.losses.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::engine::{Engine, Input, Rules};
    use crate::model::{Effects, FeedEvent, FeedEventKind, Interval, Origin, Trade};

    fn engine(partition_count: u32) -> Engine {
        let five = Interval::parse("5m").expect("valid");
        let rules = Rules::with_intervals(vec![five]).expect("valid rules");
        Engine::new(Arc::new(rules), 0, partition_count)
    }

    fn trade(engine: &mut Engine, offset: i64, symbol: &str, price: f64) -> Vec<String> {
        let trade = Trade {
            symbol: symbol.into(),
            price,
            volume: 1.0,
            trade_time_ms: 1_700_000_000_000,
            conditions: None,
            connection: 1,
            seq: offset + 1,
            received_at_us: 0,
            feed: "f".into(),
        };
        let origin = Origin { partition: 0, offset };
        let mut effects = Effects::default();
        engine.step(Input::Trade { origin, key: Some(symbol.as_bytes()), trade }, &mut effects);
        effects.symbols
    }

    #[test]
    fn a_symbol_is_listed_with_its_first_believable_trade_however_it_was_heard_of() {
        let mut engine = engine(1);
        let event = FeedEvent {
            kind: FeedEventKind::Subscribed,
            connection: 1,
            seq: 1,
            feed: "f".into(),
            at_us: 0,
            feed_time_ms: None,
            confirmed_at_us: None,
            confirmed_feed_time_ms: None,
            symbols: vec!["AAPL".into(), "MSFT".into()],
            lost_records: 0,
            detail: String::new(),
        };
        let origin = Origin { partition: 0, offset: 0 };
        let mut effects = Effects::default();
        engine.step(Input::Event { origin, event }, &mut effects);
        assert!(effects.symbols.is_empty(), "subscribed is not traded");
        assert!(trade(&mut engine, 1, "AAPL", -1.0).is_empty(), "rejected");
        assert_eq!(trade(&mut engine, 2, "AAPL", 1.0), ["AAPL"]);
        assert!(trade(&mut engine, 3, "AAPL", 1.0).is_empty(), "known by now");
    }

    #[test]
    fn strays_of_other_partitions_take_no_room() {
        let mut engine = engine(1_000_000);
        for offset in 0..10 {
            trade(&mut engine, offset, &format!("STRAY{offset}"), 1.0);
        }
        assert_eq!(engine.symbol_count(), 0);
    }
}
