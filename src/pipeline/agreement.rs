//! Whether a partition's state, the group's offset and the trades topic belong together, and what
//! to do when they do not: it is said, never passed over by reading on somewhere else.

use crate::error::{Error, Result};
use crate::model::{PartitionMeta, StateRecord};
use crate::port::Restored;

const REMEDY: &str = "build the state anew with `ticksmith reset --to-earliest --apply` (or \
                      --to-datetime T), or leave it alone with a new kafka.group and a new \
                      topics.changelog";

/// What was read of one partition.
pub struct Standing<'a> {
    pub partition: i32,
    pub trades_topic: &'a str,
    pub records: &'a [StateRecord],
    pub restored: Restored,
}

impl Standing<'_> {
    /// Where to read on. The inner error is a disagreement that may still pass: commit markers
    /// reach the offsets and the changelog one after the other.
    ///
    /// # Errors
    /// `Config` when records are gone that were not read.
    pub fn start_offset(&self) -> Result<Result<i64, String>> {
        let Restored { log_start, log_end, .. } = self.restored;
        let offset = match self.agreed_offset() {
            Ok(Some(offset)) => offset,
            Ok(None) => return Ok(Ok(log_start)),
            Err(problem) => return Ok(Err(self.told(&problem))),
        };
        if offset < log_start {
            return Err(Error::Config(self.told(&format!(
                "the next record to read is {offset}, but topic '{}' begins at {log_start}: {} \
                 records are gone unread, by retention (topics.trades_retention_hours) or by hand",
                self.trades_topic,
                log_start - offset
            ))));
        }
        if offset > log_end {
            return Ok(Err(self.told(&format!(
                "the next record to read is {offset}, but topic '{}' ends at {log_end}: it was \
                 made anew, or has lost its end; bring it back",
                self.trades_topic
            ))));
        }
        Ok(Ok(offset))
    }

    fn told(&self, problem: &str) -> String {
        format!("partition {}: {problem}; {REMEDY}", self.partition)
    }

    /// `None`: nothing was ever read.
    fn agreed_offset(&self) -> Result<Option<i64>, String> {
        let meta = self.records.iter().find_map(|record| match record {
            StateRecord::Meta(meta) => Some(meta),
            _ => None,
        });
        match (meta, self.restored.committed) {
            (None, None) if self.records.is_empty() => Ok(None),
            (Some(meta), Some(committed)) if meta.next_offset == committed => {
                self.check_whole(meta).map(|()| Some(committed))
            }
            (Some(meta), Some(committed)) => Err(apart(meta.next_offset, committed)),
            (Some(meta), None) => Err(format!(
                "the changelog has the state up to offset {}, but the group has no committed \
                 offset: it was deleted or has expired, or kafka.group is not the one that made \
                 this state; name that one",
                meta.next_offset
            )),
            (None, Some(committed)) => Err(format!(
                "the group has read up to offset {committed}, but the changelog does not say where \
                 its state stands ({} records): it was deleted, made anew or cut, or is another \
                 group's; bring it back (topics.changelog)",
                self.records.len()
            )),
            (None, None) => Err(format!(
                "the changelog has {} records, but not the one that says where the state stands: \
                 part of it was deleted; bring it back (topics.changelog)",
                self.records.len()
            )),
        }
    }

    /// The meta record is written last and with every beat, so it outlives all that is lost from
    /// the beginning of the changelog.
    fn check_whole(&self, meta: &PartitionMeta) -> Result<(), String> {
        let count = |is_meant: fn(&StateRecord) -> bool| {
            self.records.iter().filter(|record| is_meant(record)).count() as i64
        };
        let windows = count(|record| matches!(record, StateRecord::Window(_)));
        let feeds = count(|record| matches!(record, StateRecord::Feed(_)));
        let Some((all_windows, all_feeds)) = meta.counts_unlike(windows, feeds) else {
            return Ok(());
        };
        Err(format!(
            "the changelog has {windows} of {all_windows} windows and {feeds} of {all_feeds} feeds \
             of its state at offset {}: part of it was deleted (its topic needs \
             cleanup.policy=compact); bring it back",
            meta.next_offset
        ))
    }
}

fn apart(state: i64, committed: i64) -> String {
    if state < committed {
        format!(
            "the changelog has the state up to offset {state}, but the group has read up to \
             {committed}: the newest state is lost; bring the changelog back (topics.changelog)"
        )
    } else {
        format!(
            "the changelog has the state up to offset {state}, but the group stands at \
             {committed}: somebody has set its offsets back, which the state does not follow; set \
             them as they were"
        )
    }
}
