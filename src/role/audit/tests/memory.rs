//! A store in memory, filled by engines that are restarted on the way, as a stream fills it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::codec::row;
use crate::engine::recompute::BarKey;
use crate::engine::{Engine, Input, Numbered, Rules};
use crate::error::Result;
use crate::model::{
    Bar, BarRevision, Effects, FeedGap, Interval, Judged, Origin, StateRecord, StoredEvent,
};
use crate::port::{BarQuery, BarRemoval, Contradiction, Store, StoreReader, TradeQuery};

use super::market::Log;

type TradeKey = (String, i64, i64, i64);

#[derive(Debug, Default)]
pub struct Tables {
    pub bronze: BTreeMap<TradeKey, Judged>,
    pub gold: BTreeMap<BarKey, Bar>,
    pub events: Vec<StoredEvent>,
    pub revisions: Vec<BarRevision>,
    pub contradictions: Vec<(BarKey, Contradiction)>,
}

/// Cloning shares the tables.
#[derive(Debug, Clone, Default)]
pub struct Memory(pub Arc<Mutex<Tables>>);

impl Memory {
    pub fn with<T>(&self, work: impl FnOnce(&mut Tables) -> T) -> T {
        work(&mut self.0.lock().expect("no test panics while it holds the tables"))
    }

    /// What a stream makes of `log` that is restarted after every `restart_every` records.
    pub fn streamed(log: &Log, rules: &Arc<Rules>, restart_every: usize) -> Self {
        let mut memory = Self::default();
        let count = log.partitions.len() as u32;
        for (partition, records) in (0..).zip(&log.partitions) {
            let mut engine = Engine::new(Arc::clone(rules), partition, count);
            let mut changelog = BTreeMap::new();
            for (offset, record) in (0..).zip(records) {
                let mut effects = Effects::default();
                engine.step(input(Origin { partition, offset }, record), &mut effects);
                if offset % 7 == 0 {
                    engine.step(Input::Sample, &mut effects);
                }
                memory.write(&effects).expect("memory takes everything");
                if offset as usize % restart_every == restart_every - 1 {
                    save(&mut engine, &mut changelog);
                    let state = changelog.values().cloned();
                    engine = Engine::restore(Arc::clone(rules), partition, count, state)
                        .expect("it restores");
                }
            }
        }
        memory
    }
}

fn input(origin: Origin, record: &Numbered) -> Input<'_> {
    match record {
        Numbered::Event(event) => Input::Event { origin, event: event.clone() },
        Numbered::Trade(trade) => {
            let key = Some(trade.symbol.as_bytes());
            Input::Trade { origin, key, trade: trade.clone() }
        }
    }
}

/// What a compacted topic would hold.
fn save(engine: &mut Engine, changelog: &mut BTreeMap<String, StateRecord>) {
    let mut records = Vec::new();
    engine.collect_state(&mut records).expect("conservation holds");
    for record in records {
        let key = match &record {
            StateRecord::Meta(_) => "meta".into(),
            StateRecord::Scope(_) => "scope".into(),
            StateRecord::Feed(feed) => format!("feed/{}", feed.symbol),
            StateRecord::Window(w) => format!("{}/{}/{}", w.interval, w.start_ms, w.symbol),
            StateRecord::Evicted { symbol, interval, start_ms } => {
                changelog.remove(&format!("{interval}/{start_ms}/{symbol}"));
                continue;
            }
        };
        changelog.insert(key, record);
    }
}

impl Store for Memory {
    fn write(&mut self, rows: &Effects) -> Result<()> {
        self.with(|tables| {
            for judged in &rows.trades {
                let trade = &judged.trade;
                let key =
                    (trade.symbol.to_string(), trade.trade_time_ms, trade.connection, trade.seq);
                let written_us = row::trade_write_timestamp_us(judged);
                let known = tables.bronze.get(&key).map(row::trade_write_timestamp_us);
                if known.is_none_or(|known_us| known_us <= written_us) {
                    tables.bronze.insert(key, judged.clone());
                }
            }
            for bar in &rows.bars {
                let key = (Arc::clone(&bar.symbol), bar.interval, bar.window.start_ms);
                let known = tables.gold.get(&key).map(|bar| (bar.generation, bar.revision));
                if known.is_none_or(|known| known <= (bar.generation, bar.revision)) {
                    tables.gold.insert(key, bar.clone());
                }
            }
            tables.events.extend(rows.events.iter().cloned());
            tables.revisions.extend(rows.revisions.iter().cloned());
        });
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn remove(&mut self, bars: &[BarRemoval]) -> Result<()> {
        self.with(|tables| {
            for removal in bars {
                let symbol: Arc<str> = removal.symbol.as_str().into();
                let key = (symbol, removal.interval, removal.start_ms);
                tables
                    .gold
                    .retain(|known, bar| *known != key || bar.generation >= removal.generation);
            }
        });
        Ok(())
    }
}

impl StoreReader for Memory {
    fn symbols(&self) -> Result<Vec<String>> {
        let mut symbols: Vec<String> = self.with(|tables| {
            let believed = tables.bronze.values().filter(|judged| judged.disposition.is_silver());
            believed.map(|judged| judged.trade.symbol.to_string()).collect()
        });
        symbols.sort();
        symbols.dedup();
        Ok(symbols)
    }

    fn bars(&self, query: &BarQuery) -> Result<Vec<Bar>> {
        let is_meant = |bar: &&Bar| {
            *bar.symbol == *query.symbol
                && bar.interval == query.interval
                && (query.from_ms..query.to_ms).contains(&bar.window.start_ms)
        };
        Ok(self.with(|tables| tables.gold.values().filter(is_meant).cloned().collect()))
    }

    fn trades(&self, query: &TradeQuery) -> Result<Vec<Judged>> {
        let key = |time_ms: i64| (query.symbol.clone(), time_ms, i64::MIN, i64::MIN);
        let meant = key(query.from_ms)..key(query.to_ms);
        Ok(self.with(|tables| tables.bronze.range(meant).map(|(_, one)| one.clone()).collect()))
    }

    fn bar_symbols(&self, interval: Interval) -> Result<Vec<String>> {
        let mut symbols: Vec<String> = self.with(|tables| {
            let bars = tables.gold.values().filter(|bar| bar.interval == interval);
            bars.map(|bar| bar.symbol.to_string()).collect()
        });
        symbols.dedup();
        Ok(symbols)
    }

    fn revisions(&self, _query: &BarQuery) -> Result<Vec<BarRevision>> {
        Ok(self.with(|tables| tables.revisions.clone()))
    }

    fn events(&self, from_ms: i64, to_ms: i64) -> Result<Vec<StoredEvent>> {
        let is_meant = |stored: &&StoredEvent| {
            (from_ms..to_ms).contains(&stored.event.at_us.div_euclid(1_000))
        };
        Ok(self.with(|tables| tables.events.iter().filter(is_meant).cloned().collect()))
    }

    fn gaps(&self, _symbol: &str, _from_ms: i64, _to_ms: i64) -> Result<Vec<FeedGap>> {
        Ok(Vec::new())
    }

    fn contradictions(&self, query: &BarQuery) -> Result<Vec<Contradiction>> {
        let is_meant = |key: &BarKey| *key.0 == *query.symbol && key.1 == query.interval;
        Ok(self.with(|tables| {
            let found = tables.contradictions.iter().filter(|(key, _)| is_meant(key));
            found.map(|(_, one)| one.clone()).collect()
        }))
    }
}
