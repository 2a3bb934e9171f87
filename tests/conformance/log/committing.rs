//! What holds while a commit is under way: its session reads on, and its outcome is one.

use std::time::Duration;

use ticksmith::error::{Error, Result};
use ticksmith::port::{Beat, Log, Topic};

use super::{Follower, PARTITIONS, PATIENCE, WAIT, World, count_in, publish, silver_count, sorted};

/// How a commit under way ends.
fn outcome(log: &mut dyn Log) -> Result<Beat> {
    let ended = (0..PATIENCE).find_map(|_| log.commit_outcome(WAIT));
    ended.expect("a commit comes to its end")
}

pub fn reads_on_while_a_beat_is_committed(world: &mut dyn World) {
    publish(world, 0..60);
    let mut factory = world.factory();
    let mut follower = Follower::joined(&mut *factory);
    assert!(follower.log.commit_outcome(Duration::ZERO).is_none(), "nothing is under way");
    let first = follower.poll_records(60);
    let beat = follower.beat(&first);
    let committed = follower.next.clone();
    follower.log.begin_commit(beat).expect("begun");
    publish(world, 60..100);
    let second = follower.poll_records(40);
    assert_eq!(follower.log.keep_alive().expect("still a member"), None);
    let beat = outcome(&mut *follower.log).expect("committed");
    assert!(beat.records.len() > 60, "the beat comes back");
    assert!(follower.log.commit_outcome(Duration::ZERO).is_none(), "it is told once");
    assert_eq!(silver_count(world), 60, "nothing of what was read beside it");
    follower.log.close();
    drop(follower);
    let mut follower = Follower::joined(&mut *factory);
    assert_eq!(follower.next, committed, "the offsets are those of the beat");
    let again = follower.poll_records(40);
    assert_eq!(sorted(again.clone()), sorted(second));
    // The next one begins as the one before did.
    let beat = follower.beat(&again);
    follower.log.begin_commit(beat).expect("begun");
    outcome(&mut *follower.log).expect("committed");
    assert_eq!(silver_count(world), 100);
}

pub fn a_session_that_is_closed_in_a_commit_leaves_no_half_of_it(world: &mut dyn World) {
    publish(world, 0..60);
    let mut factory = world.factory();
    let mut follower = Follower::joined(&mut *factory);
    let got = follower.poll_records(60);
    let beat = follower.beat(&got);
    follower.log.begin_commit(beat).expect("begun");
    follower.log.close();
    drop(follower);
    let follower = Follower::joined(&mut *factory);
    let counted = follower.state.values().map(count_in).sum::<i64>();
    let read = follower.next.values().sum::<i64>();
    assert!(counted == 0 || counted == 60, "{counted}");
    assert_eq!((read, silver_count(world) as i64), (counted, counted));
}

pub fn fences_an_older_session_of_the_same_process(world: &mut dyn World) {
    publish(world, 0..30);
    let mut factory = world.factory();
    let mut older = Follower::joined(&mut *factory);
    let got = older.poll_records(30);
    let beat = older.beat(&got);
    let newer = factory.open().expect("a newer session");
    let refused = older.log.commit(beat).expect_err("the older session is fenced");
    assert!(matches!(refused, Error::Rejoin(_) | Error::Restore(_)), "{refused:?}");
    older.log.close();
    drop(older);
    let mut newer = Follower::new(newer);
    let again = newer.poll_until(|_, all| all.len() >= 30);
    assert_eq!(again.len(), 30);
    assert_eq!(silver_count(world), 0);
}

/// The group takes the offsets while the generation under which they were read lasts, and whoever
/// is next waits for how the commit ends.
#[allow(dead_code, reason = "an embedded log has one member only")]
pub fn a_commit_under_way_when_partitions_move_counts_once(world: &mut dyn World) {
    publish(world, 0..3000);
    let mut first = Follower::joined(&mut *world.factory());
    let got = first.poll_records(3000);
    let mut second = Follower::new(world.factory().open().expect("a second process"));
    let beat = first.beat(&got);
    first.log.begin_commit(beat).expect("begun");
    let (mut ended, mut assignment) = (None, None);
    for _ in 0..PATIENCE {
        second.poll(100).expect("polled");
        ended = ended.or_else(|| first.log.commit_outcome(Duration::ZERO));
        assignment = first.log.keep_alive().expect("served").or(assignment);
        // No restore before the outcome is known.
        if ended.is_some() {
            assignment.take().iter().for_each(|one| first.take_up(one));
            let owned = first.next.len() + second.next.len();
            if owned == PARTITIONS as usize && !second.next.is_empty() {
                break;
            }
        }
    }
    let is_committed = ended.expect("an outcome").is_ok();
    let silver = (0..PARTITIONS as i32).map(|one| world.committed(Topic::Silver, one).len());
    assert_eq!(silver.sum::<usize>(), if is_committed { 3000 } else { 0 });
    let states = first.state.values().chain(second.state.values());
    let counted = states.map(count_in).sum::<i64>();
    assert_eq!(counted, if is_committed { 3000 } else { 0 });
}
