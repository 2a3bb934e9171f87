//! What must hold, whatever fails: each invariant has a name, a sentence, and a function of its
//! own that looks for a breach. Those of a commit are looked at as it is decided, the others at
//! the end, when everything was consumed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ticksmith::codec::avro::Undecodable;
use ticksmith::model::{Amount, Bar, BarState, Disposition, Judged, PartitionMeta, StateRecord};
use ticksmith::port::{Beat, BeatReport, Topic};

use crate::broker::{Broker, Stored};
use crate::group::{Group, Membership};
use crate::options::{MS, Options, PASSING_MS, SECOND};
use crate::oracle::{Lane, Oracle};
use crate::process::AVRO;
use crate::tables::{BarKey, Row, Tables, TradeKey, bar_key, trade_key};
use crate::world::{Process, State};

/// No call of a port blocks for longer, µs.
const LONGEST_CALL_US: i64 = 4 * SECOND;

/// A bar, its generation and its revision.
pub type ContentKey = (BarKey, i64, i64);

pub type Checked = Result<(), Violation>;

#[derive(Debug, Clone, Copy)]
struct Invariant {
    name: &'static str,
    says: &'static str,
}

/// A breach of an invariant.
#[derive(Debug)]
pub struct Violation {
    invariant: Invariant,
    found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Invariant { name, says } = self.invariant;
        write!(f, "{name} ({says}): {}", self.found)
    }
}

impl Invariant {
    fn holds(self, holds: bool, found: impl FnOnce() -> String) -> Checked {
        if holds { Ok(()) } else { Err(Violation { invariant: self, found: found() }) }
    }

    /// The first difference between two maps is told.
    fn same<K: Ord + fmt::Debug, V: PartialEq + fmt::Debug>(
        self,
        what: &str,
        found: &BTreeMap<K, V>,
        expected: &BTreeMap<K, V>,
    ) -> Checked {
        for (key, value) in expected {
            // A price that is no number equals nothing, itself included.
            let is_same = |one: &V| one == value || format!("{one:?}") == format!("{value:?}");
            self.holds(found.get(key).is_some_and(is_same), || {
                format!("{what} {key:?}: {:?} instead of {value:?}", found.get(key))
            })?;
        }
        let surplus = found.keys().find(|key| !expected.contains_key(key));
        self.holds(surplus.is_none(), || format!("{what} {surplus:?} should not be there"))
    }
}

const DOES_NOT_PANIC: Invariant =
    Invariant { name: "does not panic", says: "no assertion of the product fails" };

pub fn does_not_panic(message: &str) -> Checked {
    DOES_NOT_PANIC.holds(false, || message.to_owned())
}

const GOES_ON: Invariant = Invariant {
    name: "goes on",
    says: "when faults end, all input is taken and the stop is clean",
};

pub fn goes_on(problem: &str) -> Checked {
    GOES_ON.holds(false, || problem.to_owned())
}

const STOPS: Invariant = Invariant {
    name: "stops in time",
    says: "no call begins when the drain deadline has passed since the stop was noticed",
};

/// The stop is noticed after the call in which it comes. The time of a process that was stopped by
/// SIGSTOP meanwhile is not its own.
pub fn stops_in_time(process: &Process, now_us: i64, options: &Options) -> Checked {
    let Some(asked_us) = process.asked_us.filter(|asked| *asked > process.stopped_until_us) else {
        return Ok(());
    };
    let deadline_us = options.schedule.drain_deadline_ms as i64 * MS;
    let (took_us, bound_us) = (now_us - asked_us, deadline_us + 2 * LONGEST_CALL_US);
    STOPS.holds(took_us <= bound_us, || format!("it took {took_us} us of {bound_us}"))
}

const REPORT: Invariant =
    Invariant { name: "report adds up", says: "the tally is the sum of the partitions' tallies" };

pub fn the_report_adds_up(report: &BeatReport) -> Checked {
    let sum: i64 = report.partitions.iter().map(|one| one.tally.total()).sum();
    let tally = report.tally;
    REPORT.holds(tally.total() == sum, || format!("{tally:?}, but the partitions have {sum}"))
}

const ONE_CONTENT: Invariant = Invariant {
    name: "one content per revision",
    says: "a closed or corrected bar of one generation and revision is always the same bar",
};

/// Also of rows that were never acknowledged, by whichever process.
pub fn one_content_per_revision(known: &mut BTreeMap<ContentKey, Bar>, rows: &[Row]) -> Checked {
    let bars = rows.iter().filter_map(|row| match row {
        Row::Bar(bar) => Some(bar),
        Row::Revision(revision) => Some(&revision.bar),
        _ => None,
    });
    for bar in bars.filter(|bar| bar.state != BarState::Provisional) {
        let before = known
            .entry((bar_key(bar), bar.generation, bar.revision))
            .or_insert_with(|| bar.clone());
        ONE_CONTENT.holds(before == bar, || format!("{before:?} and {bar:?}"))?;
    }
    Ok(())
}

const OWNER: Invariant = Invariant {
    name: "only the owner commits",
    says: "after its partitions have moved, nothing of a session is taken",
};

pub fn only_the_owner_commits(group: &Group, membership: Membership, beat: &Beat) -> Checked {
    let partitions = beat.offsets.iter().map(|(partition, _)| *partition);
    let owns = group.owns(membership, partitions);
    OWNER.holds(owns, || format!("{membership:?} commits {:?}", beat.offsets))
}

/// What a commit has to fulfil in itself, and next to the oracle.
pub fn at_a_commit(broker: &Broker, oracle: &mut Oracle, beat: &Beat) -> Checked {
    let metas = metas(broker, beat)?;
    offsets_and_state_agree(&metas, beat)?;
    for (partition, meta) in &metas {
        let lane = oracle.read_to(broker, *partition, meta.next_offset);
        commits_move_forward(lane, *partition, meta)?;
        nothing_vanishes(lane, *partition, meta)?;
        watermark_never_goes_back(lane, *partition, meta)?;
        let expected = lane.save();
        STATE.holds(uncounted(meta) == uncounted(&expected), || {
            format!("partition {partition}: {meta:?} instead of {expected:?}")
        })?;
    }
    Ok(())
}

const AGREE: Invariant = Invariant {
    name: "offsets and state agree",
    says: "a transaction holds a partition's offset and its meta record, and both say the same",
};

fn metas(broker: &Broker, beat: &Beat) -> Result<BTreeMap<i32, PartitionMeta>, Violation> {
    let mut metas = BTreeMap::new();
    for record in beat.records.iter().filter(|record| record.topic == Topic::Changelog) {
        let partition = record.partition.filter(|one| broker.partitions().contains(one));
        let (Some(partition), Some(key), Some(value)) = (partition, &record.key, &record.value)
        else {
            continue;
        };
        if let Ok(StateRecord::Meta(meta)) = AVRO.decode_state(key, value) {
            let twice = metas.insert(partition, meta).is_some();
            AGREE.holds(!twice, || format!("partition {partition} has two meta records"))?;
        }
    }
    Ok(metas)
}

fn offsets_and_state_agree(metas: &BTreeMap<i32, PartitionMeta>, beat: &Beat) -> Checked {
    let of_state: BTreeMap<i32, i64> =
        metas.iter().map(|(partition, meta)| (*partition, meta.next_offset)).collect();
    let offsets: BTreeMap<i32, i64> = beat.offsets.iter().copied().collect();
    AGREE.holds(of_state == offsets, || format!("offsets {offsets:?}, state {of_state:?}"))
}

const FORWARD: Invariant =
    Invariant { name: "commits move forward", says: "no record is committed twice" };

fn commits_move_forward(lane: &mut Lane, partition: i32, meta: &PartitionMeta) -> Checked {
    let before = std::mem::replace(&mut lane.committed, meta.next_offset);
    FORWARD.holds(meta.next_offset > before, || {
        format!("partition {partition}: {} after {before}", meta.next_offset)
    })
}

const CONSERVATION: Invariant = Invariant {
    name: "conservation",
    says: "consumed = merged + duplicate + rejected + late + control = the records of the log",
};

fn nothing_vanishes(lane: &Lane, partition: i32, meta: &PartitionMeta) -> Checked {
    let adds_up = meta.tally.total() == meta.consumed && meta.consumed == lane.consumed;
    CONSERVATION.holds(adds_up, || {
        let (in_log, consumed) = (lane.consumed, meta.consumed);
        format!("partition {partition}: {in_log} in the log, consumed {consumed}, {:?}", meta.tally)
    })
}

const WATERMARK: Invariant =
    Invariant { name: "watermark monotone", says: "a partition's watermark never goes back" };

fn watermark_never_goes_back(lane: &mut Lane, partition: i32, meta: &PartitionMeta) -> Checked {
    let before = std::mem::replace(&mut lane.watermark_ms, meta.watermark_ms);
    WATERMARK.holds(meta.watermark_ms >= before, || {
        format!("partition {partition}: {:?} after {before:?}", meta.watermark_ms)
    })
}

const STATE: Invariant = Invariant {
    name: "state = oracle",
    says: "the committed state is that of an engine that was never interrupted",
};

/// Everything that is looked at when all is consumed.
pub fn at_the_end(state: &mut State) -> Checked {
    let State { broker, oracle, tables, observer, .. } = state;
    observer.read_on(broker);
    observer.only_committed_records_were_seen(broker)?;
    for partition in broker.partitions() {
        let lane = oracle.read_to(broker, partition, i64::MAX);
        if lane.consumed > 0 {
            lane.save();
        }
        let lane = &oracle.lanes[&partition];
        let is_all = lane.committed == lane.next_offset;
        GOES_ON.holds(is_all, || format!("partition {partition} is read to {}", lane.committed))?;
        let found = broker.newest_state(partition, i64::MAX);
        STATE.same(&format!("changelog {partition}"), &readable(&found), &readable(&lane.state))?;
        topics_are_the_oracles(broker, lane, partition)?;
        revisions_rise(broker, partition)?;
    }
    rejected_are_the_oracles(broker, oracle)?;
    every_trade_has_a_row(broker, tables)?;
    let (expected, open) = (oracle.tables(), oracle.open_windows());
    tables_are_the_oracles(tables, &expected)?;
    bars_are_the_oracles(tables, &expected, &open)?;
    bars_add_up(tables)
}

/// Without what an interval leaves that comes and goes.
fn readable(state: &BTreeMap<Vec<u8>, Vec<u8>>) -> BTreeMap<String, Option<StateRecord>> {
    let name = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    let all = state.iter().map(|(key, value)| (name(key), AVRO.decode_state(key, value).ok()));
    all.filter(|(_, record)| match record {
        Some(StateRecord::Scope(_)) => false,
        Some(StateRecord::Window(window)) => window.interval.length_ms() != PASSING_MS,
        _ => true,
    })
    .map(|(name, record)| match record {
        Some(StateRecord::Meta(meta)) => (name, Some(StateRecord::Meta(uncounted(&meta)))),
        other => (name, other),
    })
    .collect()
}

/// Such windows are counted too. That the count is right is seen by every restore.
fn uncounted(meta: &PartitionMeta) -> PartitionMeta {
    PartitionMeta { windows: None, ..meta.clone() }
}

const TOPICS: Invariant = Invariant {
    name: "topics = oracle",
    says: "bars, silver, late and rejected hold what an uninterrupted engine emits, in order",
};

fn topics_are_the_oracles(broker: &Broker, lane: &Lane, partition: i32) -> Checked {
    let silver = lane.effects.trades.iter().filter(|one| one.disposition.is_silver());
    let silver = silver.map(|judged| judged.trade.clone());
    same_records(broker, Topic::Silver, partition, silver, |value| AVRO.decode_trade(value))?;
    let late = lane.effects.trades.iter().filter(|one| one.disposition == Disposition::Late);
    let late = late.map(|judged| Judged { behind_ms: 0, ..judged.clone() });
    same_records(broker, Topic::Late, partition, late, |value| {
        AVRO.decode_late(value).map(|judged| Judged { behind_ms: 0, ..judged })
    })?;
    let found = bars_of(broker, partition);
    let told = |bar: &&Bar| bar.state != BarState::Provisional;
    let found: Vec<&Bar> = found.iter().filter(told).collect();
    let expected: Vec<&Bar> = lane.effects.bars.iter().collect();
    same_order(Topic::Bars, partition, &found, &expected)
}

fn same_records<T: PartialEq + fmt::Debug>(
    broker: &Broker,
    topic: Topic,
    partition: i32,
    expected: impl Iterator<Item = T>,
    decode: impl Fn(&[u8]) -> Result<T, Undecodable>,
) -> Checked {
    let log = broker.log(topic, partition);
    let value = |stored: &Stored| decode(stored.value.as_deref().unwrap_or_default()).ok();
    let found: Vec<Option<T>> =
        log.committed(0, i64::MAX).map(|(_, stored)| value(stored)).collect();
    let expected: Vec<Option<T>> = expected.map(Some).collect();
    same_order(topic, partition, &found, &expected)
}

fn same_order<T: PartialEq + fmt::Debug>(
    topic: Topic,
    partition: i32,
    found: &[T],
    expected: &[T],
) -> Checked {
    let first = found.iter().zip(expected).position(|(one, other)| one != other);
    let at = first.unwrap_or(found.len().min(expected.len()));
    TOPICS.holds(found == expected, || {
        let (found, expected) = (found.get(at), expected.get(at));
        format!("{topic:?} {partition}, record {at}: {found:?} instead of {expected:?}")
    })
}

fn bars_of(broker: &Broker, partition: i32) -> Vec<Bar> {
    let log = broker.log(Topic::Bars, partition);
    let records = log.committed(0, i64::MAX);
    let bar = |stored: &Arc<Stored>| AVRO.decode_bar(stored.value.as_deref().unwrap_or_default());
    let bars = records.filter_map(|(_, stored)| bar(stored).ok());
    bars.filter(|bar| bar.interval.length_ms() != PASSING_MS).collect()
}

/// Their keys are what came, so they lie in other partitions than their trades.
fn rejected_are_the_oracles(broker: &Broker, oracle: &Oracle) -> Checked {
    let mut found: Vec<(String, String, String)> = Vec::new();
    for partition in broker.partitions() {
        for (_, stored) in broker.log(Topic::Rejected, partition).committed(0, i64::MAX) {
            let header = |name: &str| {
                let header = stored.headers.iter().find(|(one, _)| *one == name);
                header.map(|(_, text)| String::from_utf8_lossy(text).into()).unwrap_or_default()
            };
            found.push((header("partition"), header("offset"), header("reason")));
        }
    }
    let mut expected: Vec<(String, String, String)> = Vec::new();
    for (partition, lane) in &oracle.lanes {
        let rejected = lane.rejected.iter().map(|(offset, reason)| {
            (partition.to_string(), offset.to_string(), reason.as_str().to_owned())
        });
        expected.extend(rejected);
    }
    found.sort();
    expected.sort();
    same_order(Topic::Rejected, -1, &found, &expected)
}

const RISE: Invariant = Invariant {
    name: "revisions rise",
    says: "each closed or corrected record of a bar has a higher revision than the one before",
};

fn revisions_rise(broker: &Broker, partition: i32) -> Checked {
    let mut last: BTreeMap<BarKey, i64> = BTreeMap::new();
    for bar in bars_of(broker, partition) {
        if bar.state == BarState::Provisional {
            continue;
        }
        let before = last.insert(bar_key(&bar), bar.revision);
        RISE.holds(before < Some(bar.revision), || format!("{before:?} and then {bar:?}"))?;
    }
    Ok(())
}

const TABLES: Invariant = Invariant {
    name: "tables = oracle",
    says: "at the end every table holds what an uninterrupted run would have written",
};

fn tables_are_the_oracles(found: &Tables, expected: &Tables) -> Checked {
    TABLES.same("bronze", &found.bronze, &expected.bronze)?;
    TABLES.same("silver", &found.silver, &expected.silver)?;
    TABLES.same("bar_revisions", &found.revisions, &expected.revisions)?;
    TABLES.same("feed_events", &found.events, &expected.events)?;
    TABLES.same("feed_gaps", &found.gaps, &expected.gaps)?;
    let (found, expected) = (&found.symbols, &expected.symbols);
    TABLES.holds(found == expected, || format!("symbols {found:?} instead of {expected:?}"))
}

/// A window that is still open has a sample of it, or no row.
fn bars_are_the_oracles(
    found: &Tables,
    expected: &Tables,
    open: &BTreeMap<BarKey, i64>,
) -> Checked {
    let is_told = |(_, (_, bar)): &(&BarKey, &(i64, Bar))| bar.state != BarState::Provisional;
    let told: BTreeMap<_, _> = found.gold.iter().filter(is_told).collect();
    TABLES.same("gold", &told, &expected.gold.iter().collect())?;
    for (key, (_, bar)) in found.gold.iter().filter(|row| !is_told(row)) {
        let is_sample = open.get(key).is_some_and(|revision| bar.revision <= *revision);
        TABLES.holds(is_sample, || format!("gold {key:?}: a sample of nothing, {bar:?}"))?;
    }
    Ok(())
}

const NOTHING_VANISHES: Invariant = Invariant {
    name: "nothing vanishes",
    says: "every trade of the log that decodes has one row in bronze, and no other row is there",
};

fn every_trade_has_a_row(broker: &Broker, tables: &Tables) -> Checked {
    let logs = broker.partitions().map(|partition| broker.log(Topic::Trades, partition));
    let records = logs.flat_map(|log| log.committed(0, i64::MAX));
    let trade = |stored: &Stored| AVRO.decode_trade(stored.value.as_deref()?).ok();
    let keys = records.filter_map(|(_, stored)| trade(stored)).map(|trade| trade_key(&trade));
    let expected: BTreeSet<TradeKey> = keys.collect();
    let differs = expected.iter().find(|key| !tables.bronze.contains_key(*key));
    let differs = differs.or(tables.bronze.keys().find(|key| !expected.contains(*key)));
    NOTHING_VANISHES.holds(differs.is_none(), || format!("{differs:?}"))
}

const ADDS_UP: Invariant = Invariant {
    name: "bars add up",
    says: "volume, count, high and low of a bar are those of its trades in bronze",
};

/// Independent of the engine's arithmetic: one bar at a time from the rows of its window.
fn bars_add_up(tables: &Tables) -> Checked {
    for ((symbol, length_ms, start_ms), (_, bar)) in &tables.gold {
        if bar.state == BarState::Provisional {
            continue;
        }
        let from = (symbol.clone(), *start_ms, i64::MIN, i64::MIN);
        let to = (symbol.clone(), start_ms + length_ms, i64::MIN, i64::MIN);
        let rows = tables.bronze.range(from..to).map(|(_, (_, judged))| judged);
        let merged: Vec<&Judged> = rows
            .filter(|one| one.disposition == Disposition::Merged && one.updates_volume)
            .collect();
        let volume = merged.iter().try_fold(Amount::ZERO, |sum, one| {
            sum.checked_add(Amount::from_f64(one.trade.volume)?)
        });
        let prices = || merged.iter().filter(|one| one.updates_high_low).map(|one| one.trade.price);
        let high = prices().max_by(f64::total_cmp);
        let low = prices().min_by(f64::total_cmp);
        let holds = volume == Some(bar.volume)
            && merged.len() as i64 == bar.trade_count
            && high == bar.high.map(|point| point.price)
            && low == bar.low.map(|point| point.price);
        ADDS_UP.holds(holds, || {
            let count = merged.len();
            format!("{bar:?}, but its {count} trades have {volume:?}, {high:?}, {low:?}")
        })?;
    }
    Ok(())
}

const COMMITTED: Invariant = Invariant {
    name: "committed only",
    says: "a committed reader never sees a record that is aborted, or one twice",
};

/// Records with their offsets.
type Seen = Vec<(i64, Arc<Stored>)>;

/// A committed reader of the output topics that reads on as the run goes.
#[derive(Default)]
pub struct Observer {
    seen: BTreeMap<(Topic, i32), Seen>,
}

const OBSERVED: [Topic; 4] = [Topic::Silver, Topic::Late, Topic::Rejected, Topic::Bars];

impl Observer {
    pub fn read_on(&mut self, broker: &Broker) {
        for topic in OBSERVED {
            for partition in broker.partitions() {
                let seen = self.seen.entry((topic, partition)).or_default();
                let next = seen.last().map_or(0, |(offset, _)| offset + 1);
                let log = broker.log(topic, partition);
                let read = log.committed(next, i64::MAX);
                seen.extend(read.map(|(entry, stored)| (entry.offset, Arc::clone(stored))));
            }
        }
    }

    fn only_committed_records_were_seen(&self, broker: &Broker) -> Checked {
        for ((topic, partition), seen) in &self.seen {
            let log = broker.log(*topic, *partition);
            let of_log = log.committed(0, i64::MAX);
            let same = of_log.map(|(entry, _)| entry.offset).eq(seen.iter().map(|(at, _)| *at));
            COMMITTED.holds(same, || format!("{topic:?} {partition} was seen otherwise"))?;
        }
        Ok(())
    }
}
