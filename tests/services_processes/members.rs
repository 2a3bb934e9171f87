//! Processes of one group that come and go in the middle of their work: partitions move, and what
//! comes out is what one process would have made of it, once.

use std::time::Instant;

use crate::harness::group::{
    Group, PARTITIONS, assignments, wait_until_owner, wait_until_owner_again,
};
use crate::harness::network::{END_TXN, Line};
use crate::harness::process::Process;
use crate::harness::with_steady_servers;

const HALF: usize = PARTITIONS / 2;

#[test]
fn partitions_move_on_start_stop_kill_and_network_loss() {
    let _servers = with_steady_servers();
    let mut group = Group::new("moves");
    let mut first = group.start(&[]);
    let mut second = group.strike_in_mid_flow(|group| group.start(&[]));
    wait_until_owner(&mut first, HALF);
    wait_until_owner(&mut second, HALF);
    group.settle();

    let stopped = group.strike_in_mid_flow(|_| second.terminate());
    assert_eq!(stopped.code(), 0, "stream after SIGTERM:\n{}", stopped.said);
    wait_until_owner(&mut first, PARTITIONS);
    group.settle();

    let line = Line::of("moves-third");
    let mut third = group.start(&line.settings());
    wait_until_owner(&mut first, HALF);
    wait_until_owner(&mut third, HALF);
    group.strike_in_mid_flow(|_| first.kill());
    wait_until_owner(&mut third, PARTITIONS);
    group.settle();

    let mut fourth = group.start(&[]);
    for lose in [Line::silence, Line::cut] {
        wait_until_owner(&mut third, HALF);
        wait_until_owner(&mut fourth, HALF);
        let before = assignments(&third.said()).len();
        group.strike_in_mid_flow(|_| lose(line));
        wait_until_owner(&mut fourth, PARTITIONS);
        line.mend();
        wait_until_owner_again(&mut third, HALF, before);
        wait_until_owner(&mut fourth, HALF);
        group.settle();
    }
    group.finish([third, fourth]);
}

/// So long that only a successor of the same identity can end a transaction before.
const LONG_TRANSACTION_MS: u32 = 50_000;

fn static_member(group: &Group, id: &str, more: &[(&str, String)]) -> Process {
    let settings = [&[("KAFKA__INSTANCE_ID", id.to_owned())], more].concat();
    group.start(&settings)
}

#[test]
fn a_static_member_that_restarts_in_time_moves_no_partition_and_ends_its_old_transaction() {
    let _servers = with_steady_servers();
    let mut group = Group::new("static");
    group.world.set("KAFKA__SESSION_TIMEOUT_MS", "60000");
    group.world.set("KAFKA__TRANSACTION_TIMEOUT_MS", &LONG_TRANSACTION_MS.to_string());
    let line = Line::of("static-desk");
    let mut desk = static_member(&group, "desk", &line.settings());
    wait_until_owner(&mut desk, PARTITIONS);
    let mut other = static_member(&group, "other", &[]);
    wait_until_owner(&mut desk, HALF);
    wait_until_owner(&mut other, HALF);
    let settled = assignments(&other.said());

    group.strike_in_mid_flow(|_| line.stop_before(END_TXN));
    desk.kill();
    line.lose();
    let killed = Instant::now();
    let mut desk = static_member(&group, "desk", &[]);
    wait_until_owner(&mut desk, HALF);
    group.settle();
    let waited_ms = killed.elapsed().as_millis();
    let bound_ms = u128::from(LONG_TRANSACTION_MS / 2);
    assert!(waited_ms < bound_ms, "the old transaction held it up: {waited_ms} ms");
    println!("static: all was read {waited_ms} ms after the kill");

    assert_eq!(desk.terminate().code(), 0, "stream after SIGTERM");
    let mut desk = static_member(&group, "desk", &[]);
    wait_until_owner(&mut desk, HALF);

    let mut newer = group.strike_in_mid_flow(|group| static_member(group, "desk", &[]));
    let fenced = desk.wait();
    assert_eq!(fenced.code(), 2, "the older one of two:\n{}", fenced.said);
    let sentence = "kafka.instance_id 'desk': a newer process has joined group";
    assert!(fenced.said.contains(sentence), "{}", fenced.said);
    wait_until_owner(&mut newer, HALF);
    group.settle();
    assert_eq!(assignments(&other.said()), settled, "nothing moved:\n{}", other.said());
    drain_static(&group, [newer, other]);
}

/// A static member that stops keeps its partitions for a while, so each reads its own to the end.
fn drain_static(group: &Group, members: [Process; 2]) {
    for member in members {
        let ended = member.terminate();
        assert_eq!(ended.code(), 0, "stream after SIGTERM:\n{}", ended.said);
    }
    let [desk, other] = ["desk", "other"].map(|id| [("KAFKA__INSTANCE_ID", id.to_owned())]);
    group.drain(&[&desk, &other]);
    group.judge(&[]);
}
