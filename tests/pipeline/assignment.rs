//! Partitions that come and go while a stream reads to the end of the log: it ends when what it has
//! is finished, and not before.

use std::time::Duration;

use ticksmith::error::Result;
use ticksmith::port::{Log, Polled, RawRecord};

use crate::front::{FrontFactory, Spoil};
use crate::{EXPECTED, broker, check, fill, run, schedule};

/// Tells of these assignments, one after each of the first polls; others have the rest so long.
struct Rebalancing {
    coming: Vec<Vec<i32>>,
}

impl Spoil for Rebalancing {
    fn poll(
        &mut self,
        inner: &mut dyn Log,
        (limit, wait): (usize, Duration),
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<Polled> {
        if let Some(assignment) = self.coming.pop() {
            // What is not ours is sought as well, or the log would wait for it.
            (0..3).try_for_each(|partition| inner.seek(partition, 0))?;
            return Ok(Polled { records: 0, assignment: Some(assignment) });
        }
        let polled = inner.poll(limit, wait, on_record)?;
        // The log's own first word is replaced by ours.
        Ok(Polled { assignment: None, ..polled })
    }
}

fn reads_all(mut assignments: Vec<Vec<i32>>) {
    let (_directory, broker) = broker();
    fill(&broker);
    assignments.reverse();
    let inner = broker.factory("group");
    let spoiler = move || Rebalancing { coming: assignments.clone() };
    assert_eq!(run(Box::new(FrontFactory { inner, spoiler }), None, schedule()), EXPECTED);
    check(&broker);
}

#[test]
fn a_partition_that_comes_later_is_read_to_its_end() {
    // One of them is finished before the others.
    for first in 0..3 {
        reads_all(vec![vec![first], vec![0, 1, 2]]);
    }
}

#[test]
fn partitions_that_are_given_up_in_a_rebalance_are_waited_for() {
    reads_all(vec![vec![0, 1, 2], vec![], vec![2, 0, 1]]);
}
