//! Processes that die or fall asleep inside a transaction: nobody sees what they did not finish,
//! nobody waits for them longer than configured, and whoever wakes up too late changes nothing.

use std::time::Instant;

use crate::harness::group::{
    Group, PARTITIONS, assignments, wait_until_owner, wait_until_owner_again,
};
use crate::harness::network::{END_TXN, Line};
use crate::harness::process::Process;
use crate::harness::{World, eventually, with_steady_servers};

/// Of each partition of the silver topic, what readers of committed records cannot read yet.
fn held_back(world: &World) -> Result<i64, String> {
    let end = |isolation| world.isolated_observer_of("TOPICS__SILVER", isolation).ends();
    let (stable, all) = (end("read_committed")?, end("read_uncommitted")?);
    Ok(all.values().sum::<i64>() - stable.values().sum::<i64>())
}

/// Records of the silver topic for readers of either kind.
fn counts(world: &World) -> [usize; 2] {
    ["read_committed", "read_uncommitted"].map(|isolation| {
        eventually("the silver topic", || {
            world.isolated_observer_of("TOPICS__SILVER", isolation).count()
        })
    })
}

/// Starts a process and stops its line when it has written a beat and is about to commit it.
fn start_and_hold(group: &mut Group, line: Line) -> Process {
    let process = group.start(&line.settings());
    group.strike_in_mid_flow(|_| line.stop_before(END_TXN));
    process
}

#[test]
fn a_transaction_of_a_killed_process_is_seen_by_nobody_and_holds_readers_up_only_so_long() {
    let _servers = with_steady_servers();
    let mut group = Group::new("dangling");
    let line = Line::of("dangling");
    let process = start_and_hold(&mut group, line);
    let began = Instant::now();
    let killed = process.kill();
    assert_eq!(killed.code(), -libc::SIGKILL, "it was still running:\n{}", killed.said);
    line.lose();
    let held = held_back(&group.world).expect("the broker answers");
    assert!(held > 0, "there is a dangling transaction");

    eventually("readers of committed records get to the end", || {
        let held = held_back(&group.world)?;
        if held == 0 { Ok(()) } else { Err(format!("{held} records are held back")) }
    });
    let waited_ms = began.elapsed().as_millis();
    let timeout_ms: u128 =
        group.world.setting("KAFKA__TRANSACTION_TIMEOUT_MS").parse().expect("ms");
    assert!(waited_ms < 4 * timeout_ms, "held up for {waited_ms} ms, time-out {timeout_ms} ms");
    let [committed, all] = counts(&group.world);
    println!("dangling: {held} offsets held back for {waited_ms} ms, time-out {timeout_ms} ms;");
    println!("dangling: {committed} records are committed, {all} are in the log");
    assert!(committed < all, "{committed} committed of {all}: nothing was aborted");

    group.drain(&[&[]]);
    group.judge(&[]);
    let [committed, all] = counts(&group.world);
    assert!(committed < all, "{committed} committed of {all}: nothing was aborted");
}

#[test]
fn a_process_that_wakes_after_its_partitions_moved_changes_nothing() {
    let _servers = with_steady_servers();
    let mut group = Group::new("zombie");
    let line = Line::of("zombie");
    // Asleep inside of a transaction, and its commit arrives when all has moved on.
    let mut zombie = start_and_hold(&mut group, line);
    zombie.freeze();
    let mut heir = group.start(&[]);
    wait_until_owner(&mut heir, PARTITIONS);
    group.settle();
    line.let_go();
    zombie.thaw();
    zombie.wait_for("that its session is lost", |said| said.contains("session lost").then_some(()));
    wait_until_owner_again(&mut zombie, PARTITIONS / 2, 1);
    wait_until_owner(&mut heir, PARTITIONS / 2);
    group.settle();

    // Asleep anywhere, with rows on their way to the store.
    for _ in 0..2 {
        let before = assignments(&zombie.said()).len();
        group.strike_in_mid_flow(|_| zombie.freeze());
        wait_until_owner(&mut heir, PARTITIONS);
        group.world.wait_until_read();
        zombie.thaw();
        wait_until_owner_again(&mut zombie, PARTITIONS / 2, before);
        wait_until_owner(&mut heir, PARTITIONS / 2);
        group.settle();
    }
    let [committed, all] = counts(&group.world);
    assert!(committed < all, "{committed} committed of {all}: nothing was aborted");
    group.finish([zombie, heir]);
}
