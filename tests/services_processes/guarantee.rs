//! `stream.guarantee = "at_least_once"`: the tables are the same, the topics may repeat.

use crate::harness::group::Group;
use crate::harness::network::{END_TXN, Line};
use crate::harness::with_steady_servers;

const KILLS: usize = 2;

#[test]
fn at_least_once_repeats_records_and_nothing_else() {
    let _servers = with_steady_servers();
    let mut group = Group::new("at_least_once");
    group.world.set("STREAM__GUARANTEE", "at_least_once");
    let line = Line::of("at_least_once");
    for _ in 0..KILLS {
        let process = group.start(&line.settings());
        // Its outputs are written, its offsets are not.
        group.strike_in_mid_flow(|_| line.stop_before(END_TXN));
        let killed = process.kill();
        assert_eq!(killed.code(), -libc::SIGKILL, "it was still running:\n{}", killed.said);
        line.lose();
    }
    // And wherever it is.
    let process = group.start(&[]);
    group.strike_in_mid_flow(|_| process.kill());
    group.drain(&[&[]]);
    group.judge(&["--repeats"]);
}
