//! What a reset would do, partition by partition, and the one transaction that does it.

use std::fmt::Write;
use std::sync::Arc;

use crate::codec::avro::Avro;
use crate::engine::Rules;
use crate::error::{Error, Result};
use crate::model::{ActiveInterval, Interval, PartitionMeta, Scope, StateRecord, Told};
use crate::port::{Beat, OutRecord, Topic, Written};
use crate::role::audit::log::lead_ms;
use crate::role::range_query::{table, time_text};

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Market time, ms.
    Since(i64),
    Earliest,
}

/// A partition as it was found.
#[derive(Debug, Default)]
pub struct Standing {
    pub partition: i32,
    pub committed: Option<i64>,
    /// Oldest offset of the trades partition, and the one after the newest.
    pub log_start: i64,
    pub log_end: i64,
    pub meta: Option<PartitionMeta>,
    pub windows: usize,
    /// Of every record of the changelog.
    pub keys: Vec<Vec<u8>>,
}

/// Records of a partition, with the times at which they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The oldest one of all, and the one to begin with; `None` when there is none so late.
    pub first: Option<Written>,
    pub target: Option<Written>,
}

/// One partition's part of the plan.
#[derive(Debug)]
struct Part {
    standing: Standing,
    place: Place,
    target: i64,
}

/// What would be done.
#[derive(Debug)]
pub struct Plan {
    asked: Asked,
    rules: Arc<Rules>,
    /// Bars are written anew from here on, ms; `None`: all of them, since the log is whole.
    bars_from_ms: Option<i64>,
    parts: Vec<Part>,
    pub generation: i64,
}

impl Standing {
    /// State, offset and log fit each other, so the stream could simply go on.
    fn is_whole(&self) -> bool {
        let state = self.meta.as_ref().map(|meta| meta.next_offset);
        state.is_some() && state == self.committed && state >= Some(self.log_start)
    }

    /// Windows that end by then are finished: nothing is lost when the state of them goes, ms.
    fn settled_ms(&self, rules: &Rules) -> Option<i64> {
        let watermark_ms = self.meta.as_ref().filter(|_| self.is_whole())?.watermark_ms?;
        Some(watermark_ms - rules.allowed_lateness_ms)
    }

    fn is_empty(&self) -> bool {
        self.log_start >= self.log_end
    }

    /// The records before this were told of.
    fn told_below(&self) -> Option<i64> {
        self.committed.or(self.meta.as_ref().map(|meta| meta.next_offset))
    }
}

impl Plan {
    /// # Errors
    /// `Config` when the state was made under another partition count.
    pub fn new(asked: Asked, rules: &Arc<Rules>, standings: Vec<Standing>) -> Result<Self> {
        let count = standings.len() as u32;
        let metas = standings.iter().filter_map(|one| one.meta.as_ref());
        if let Some(meta) = metas.clone().find(|meta| meta.partition_count != count) {
            return Err(Error::Config(format!(
                "the state was made with {} partitions and the trades topic now has {count}: the \
                 trades of a symbol lie in two of them, which no replay can mend; start a new \
                 kafka.group with new topics",
                meta.partition_count
            )));
        }
        let parts = standings.into_iter().map(|standing| Part {
            target: standing.log_start,
            standing,
            place: Place { first: None, target: None },
        });
        let mut plan = Self {
            asked,
            rules: Arc::clone(rules),
            bars_from_ms: None,
            parts: parts.collect(),
            generation: 0,
        };
        if let Asked::Since(asked_ms) = asked {
            let from_ms = plan.settled_ms().map_or(asked_ms, |settled_ms| settled_ms.min(asked_ms));
            plan.bars_from_ms = Some(plan.longest().window_of(from_ms).start_ms);
        }
        Ok(plan)
    }

    /// The least over the partitions whose state is worth something, ms.
    fn settled_ms(&self) -> Option<i64> {
        self.parts.iter().filter_map(|part| part.standing.settled_ms(&self.rules)).min()
    }

    fn longest(&self) -> Interval {
        *self.rules.intervals.last().expect("rules have an interval")
    }

    /// Reading begins with records written then, ms; `None`: with the oldest.
    pub fn read_from_ms(&self) -> Option<i64> {
        let from_ms = self.bars_from_ms.filter(|_| self.asked != Asked::Earliest)?;
        Some(from_ms.saturating_sub(lead_ms(&self.rules)))
    }

    pub fn bars_from_ms(&self) -> Option<i64> {
        self.bars_from_ms
    }

    /// Sets where reading begins in one partition.
    ///
    /// # Errors
    /// `Bug` for a partition that the plan does not know.
    pub fn place(&mut self, partition: i32, place: Place) -> Result<()> {
        let found = self.parts.iter_mut().find(|part| part.standing.partition == partition);
        let part =
            found.ok_or_else(|| Error::Bug(format!("partition {partition} was not looked at")))?;
        let standing = &part.standing;
        let found = place.target.map_or(standing.log_end, |written| written.offset);
        // Never forward over records that nobody has read.
        let unread = if standing.is_whole() { standing.committed } else { None };
        part.target = found.max(standing.log_start).min(unread.unwrap_or(found));
        part.place = place;
        Ok(())
    }

    /// Whether the log has all that the first bars need. With `Asked::Earliest` this is where the
    /// first bars are found.
    ///
    /// # Errors
    /// `Config` naming the earliest time that could be asked for.
    pub fn check_reach(&mut self) -> Result<()> {
        let cut = |part: &&Part| part.standing.log_start > 0 && !part.standing.is_empty();
        let begins = |part: &Part| part.place.first.map(|first| first.at_ms);
        match self.asked {
            Asked::Earliest => {
                let latest_ms = self.parts.iter().filter(cut).filter_map(begins).max();
                self.bars_from_ms = latest_ms.map(|begins_ms| self.first_boundary(begins_ms));
                Ok(())
            }
            Asked::Since(_) => {
                let short =
                    self.parts.iter().filter(cut).filter(|p| p.target == p.standing.log_start);
                let Some(begins_ms) = short.filter_map(begins).max() else { return Ok(()) };
                let wanted_ms = self.bars_from_ms.unwrap_or(begins_ms);
                Err(Error::Config(format!(
                    "bars from {} on need trades from {} on, and the log begins at {}; what it has \
                     all trades for begins at {}: give --to-earliest",
                    time_text(wanted_ms),
                    time_text(wanted_ms.saturating_sub(lead_ms(&self.rules))),
                    time_text(begins_ms),
                    time_text(self.first_boundary(begins_ms)),
                )))
            }
        }
    }

    /// The first bars that a log can support which begins then.
    fn first_boundary(&self, begins_ms: i64) -> i64 {
        let longest = self.longest();
        let known_ms = begins_ms.saturating_add(lead_ms(&self.rules));
        longest.window_of(known_ms.saturating_add(longest.length_ms() - 1)).start_ms
    }

    /// Highest of the partitions that have a state.
    pub fn generation_of_state(&self) -> Option<i64> {
        let metas = self.parts.iter().filter_map(|part| part.standing.meta.as_ref());
        metas.map(|meta| meta.generation).max()
    }

    /// Nothing was ever read by this group.
    pub fn is_new(&self) -> bool {
        self.parts.iter().all(|part| part.standing.told_below().is_none())
    }

    /// The transaction: every record of the old state goes, a meta record and a scope per partition
    /// come, and the offsets with them.
    ///
    /// # Errors
    /// `Bug` when a record cannot be encoded.
    pub fn beat(&self, avro: &Avro) -> Result<Beat> {
        let mut beat = Beat::default();
        for part in &self.parts {
            let partition = part.standing.partition;
            let (meta, scope) = self.new_state(part);
            let new = [avro.encode_state(&scope)?, avro.encode_state(&meta)?];
            let gone = part.standing.keys.iter().filter(|key| new.iter().all(|(k, _)| k != *key));
            let gone = gone.map(|key| (key.clone(), None));
            let records = gone.chain(new.iter().cloned());
            beat.records.extend(records.map(|(key, value)| OutRecord {
                topic: Topic::Changelog,
                partition: Some(partition),
                key: Some(key),
                value,
                headers: Vec::new(),
            }));
            beat.offsets.push((partition, part.target));
        }
        Ok(beat)
    }

    fn new_state(&self, part: &Part) -> (StateRecord, StateRecord) {
        let meta = PartitionMeta {
            next_offset: part.target,
            generation: self.generation,
            partition_count: self.parts.len() as u32,
            windows: Some(0),
            feeds: Some(0),
            ..PartitionMeta::default()
        };
        let from_ms = self.bars_from_ms;
        let intervals = self.rules.intervals.iter();
        let intervals = intervals.map(|interval| ActiveInterval { interval: *interval, from_ms });
        let told = part.standing.told_below().zip(from_ms);
        let scope = Scope {
            intervals: intervals.collect(),
            told: told.map(|(below_offset, before_ms)| Told { below_offset, before_ms }),
        };
        (StateRecord::Meta(meta), StateRecord::Scope(scope))
    }

    /// What would be done, for people.
    pub fn text(&self, is_applied: bool) -> String {
        let mut text = String::new();
        let from = self.bars_from_ms.map_or("the beginning".to_owned(), time_text);
        let _ =
            writeln!(text, "bars        anew from {from} on, as generation {}", self.generation);
        match self.read_from_ms() {
            Some(read_ms) => {
                let lead_min = lead_ms(&self.rules) / 60_000;
                let read = time_text(read_ms);
                let _ = writeln!(
                    text,
                    "reading     from {read} on: {lead_min} min earlier, to know the feed by then"
                );
            }
            None => text.push_str("reading     from the oldest record on\n"),
        }
        text.push('\n');
        text.push_str(&self.partitions());
        text.push('\n');
        text.push_str(&self.consequences(&from));
        if !is_applied {
            text.push_str("\nnothing was changed; --apply does it\n");
        }
        text
    }

    fn partitions(&self) -> String {
        let header =
            ["partition", "now at", "back to", "written at", "read again", "windows dropped"];
        let shown = |offset: Option<i64>| offset.map_or("unknown".to_owned(), |o| o.to_string());
        let rows = self.parts.iter().map(|part| {
            let standing = &part.standing;
            let written = part.place.target.filter(|written| written.offset == part.target);
            vec![
                standing.partition.to_string(),
                shown(standing.told_below()),
                part.target.to_string(),
                written.map_or("-".to_owned(), |written| time_text(written.at_ms)),
                part.read_again().to_string(),
                standing.windows.to_string(),
            ]
        });
        let sum = |of: fn(&Part) -> i64| self.parts.iter().map(of).sum::<i64>().to_string();
        let total = vec![
            "all".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            sum(Part::read_again),
            sum(|part| part.standing.windows as i64),
        ];
        let rows: Vec<Vec<String>> = rows.chain([total]).collect();
        table(&header, &[true, true, true, false, true, true], &rows)
    }

    fn consequences(&self, from: &str) -> String {
        let generation = self.generation;
        let mut text = format!(
            "tables      bars from {from} on are overwritten by generation {generation}; earlier \
             ones stay\ntopics      bars from {from} on come again, as generation {generation}; so \
             do the silver,\n            late and rejected records: readers tell them by \
             (connection, seq)\n"
        );
        let unfinished = self.settled_ms().zip(self.bars_from_ms);
        if let Some((settled_ms, from_ms)) = unfinished.filter(|(settled, from)| settled < from) {
            let _ = writeln!(
                text,
                "left behind bars from {} to {} stay as they are, finished or not: the log has not \
                 all of\n            their trades; `ticksmith rebuild` makes them from bronze",
                time_text(self.longest().window_of(settled_ms).start_ms),
                time_text(from_ms),
            );
        }
        let gone = self.parts.iter().filter_map(Part::unread).sum::<i64>();
        if gone > 0 {
            let _ = writeln!(
                text,
                "gone        {gone} records were deleted from the log before the stream read them"
            );
        }
        text
    }

    /// What to say when it is done.
    pub fn done(&self) -> String {
        format!("done: generation {}; the next start reads on from there\n", self.generation)
    }
}

impl Part {
    fn read_again(&self) -> i64 {
        let told_below = self.standing.told_below().unwrap_or(self.target);
        (told_below.min(self.standing.log_end) - self.target).max(0)
    }

    /// Records that the log lost before they were read.
    fn unread(&self) -> Option<i64> {
        Some(self.standing.log_start - self.standing.told_below()?).filter(|gone| *gone > 0)
    }
}
