use super::*;
use crate::engine::recompute::BarKey;
use crate::model::{Bar, BarState, RevisionWhy};
use crate::role::audit::tests::market::START_MS;
use crate::role::audit::tests::memory::Memory;
use crate::role::audit::tests::{Stands, audited, config, some_key, steady_store, stretch};

const MINUTE_MS: i64 = 60_000;

fn args(from: Option<i64>, to: Option<i64>, include_late: bool) -> Args {
    Args { stretch: stretch("all", from, to), include_late, apply: false }
}

fn planned(memory: &Memory, now_ms: i64, args: &Args) -> Plan {
    plan(args, &config(), memory, &Stands(now_ms)).expect("it can be planned")
}

fn refused(memory: &Memory, now_ms: i64, from: Option<i64>, to: Option<i64>) -> String {
    match plan(&args(from, to, false), &config(), memory, &Stands(now_ms)) {
        Err(Error::Config(said)) => said,
        other => panic!("{:?}", other.map(|plan| plan.text(false))),
    }
}

fn gold(memory: &Memory, key: &BarKey) -> Option<Bar> {
    memory.with(|tables| tables.gold.get(key).cloned())
}

#[test]
fn nothing_is_done_where_nothing_differs() {
    let (memory, end_ms) = steady_store();
    let plan = planned(&memory, end_ms, &args(None, None, false));
    assert!(plan.is_empty());
    let text = plan.text(true);
    assert!(text.contains("nothing to do") && text.contains("left out"), "{text}");
}

#[test]
fn what_was_changed_deleted_and_inserted_is_put_right() {
    let (mut memory, end_ms) = steady_store();
    let changed = some_key(&memory);
    let minute_ms = changed.1.length_ms();
    let deleted = (changed.0.clone(), changed.1, changed.2 + minute_ms);
    let inserted: BarKey = ("NOBODY".into(), changed.1, changed.2);
    let right = gold(&memory, &changed).expect("it is there");
    memory.with(|tables| {
        tables.gold.get_mut(&changed).expect("it is there").trade_count += 5;
        tables.gold.remove(&deleted).expect("it was there");
        let symbol = inserted.0.clone();
        tables.gold.insert(inserted.clone(), Bar { symbol, ..right.clone() });
    });
    let plan = planned(&memory, end_ms, &args(None, None, false));
    let text = plan.text(false);
    for said in [
        "changed     1",
        "added       1",
        "removed     1",
        "generation  1",
        "2023-11-14T23:30:00Z changes\n    trade_count from 7 to 2",
        "2023-11-14T23:31:00Z is added as open",
        "NOBODY 1m 2023-11-14T23:30:00Z is removed, was open",
        "--apply does it",
    ] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    let reader = memory.clone();
    assert_eq!(plan.write(&mut memory, &reader, end_ms), Ok(1));
    assert_eq!(gold(&memory, &changed), Some(Bar { generation: 1, ..right }));
    assert_eq!(gold(&memory, &inserted), None);
    let audit = audited(&memory, end_ms, None, None);
    assert_eq!(audit.comparison.unequal(), 0);
    let history = memory.with(|tables| {
        let rebuilt = tables.revisions.iter().filter(|one| one.why == RevisionWhy::Rebuild);
        rebuilt.map(|one| (one.bar.window.start_ms, one.bar.generation)).collect::<Vec<_>>()
    });
    assert_eq!(history, [(changed.2, 1), (deleted.2, 1)]);
}

/// A hand that writes in Cassandra writes with the time of day; here it is a high generation.
#[test]
fn rows_that_a_hand_wrote_later_than_the_next_generation_are_overcome() {
    let (mut memory, end_ms) = steady_store();
    let key = some_key(&memory);
    let plan = {
        memory.with(|tables| tables.gold.get_mut(&key).expect("it is there").gap_ms += 1);
        planned(&memory, end_ms, &args(None, None, false))
    };
    memory.with(|tables| tables.gold.get_mut(&key).expect("it is there").generation = 3);
    let reader = memory.clone();
    let above = (end_ms - START_MS) / 1_000_000 + 1;
    assert_eq!(plan.write(&mut memory, &reader, end_ms), Ok(above));
    assert_eq!(audited(&memory, end_ms, None, None).comparison.unequal(), 0);
    memory.with(|tables| tables.gold.get_mut(&key).expect("it is there").generation = 1_000_000);
    assert!(matches!(plan.write(&mut memory, &reader, end_ms), Err(Error::Config(_))));
}

#[test]
fn late_trades_are_merged_on_request_and_the_bar_says_so() {
    let (mut memory, end_ms) = steady_store();
    let plan = planned(&memory, end_ms, &args(None, None, true));
    let text = plan.text(false);
    assert!(text.contains("changed     2") && text.contains("with late   2"), "{text}");
    let reader = memory.clone();
    assert_eq!(plan.write(&mut memory, &reader, end_ms), Ok(1));
    let late: Vec<Bar> = memory
        .with(|tables| tables.gold.values().filter(|bar| bar.late_included > 0).cloned().collect());
    assert_eq!(late.len(), 2, "its minute and its five minutes");
    for bar in &late {
        assert_eq!((bar.late_included, bar.state), (1, BarState::Corrected));
        // The late one is the dearest and biggest of all.
        assert_eq!(bar.high.map(|point| point.price), Some(51.0));
        assert!(bar.volume.to_f64() > 5.0, "{}", bar.volume);
    }
    let audit = audited(&memory, end_ms, None, None);
    assert_eq!((audit.comparison.unequal(), audit.comparison.late_included), (0, 2));
    assert!(planned(&memory, end_ms, &args(None, None, true)).is_empty());
    // And back.
    let plan = planned(&memory, end_ms, &args(None, None, false));
    assert_eq!(plan.write(&mut memory, &reader, end_ms), Ok(2));
    let audit = audited(&memory, end_ms, None, None);
    assert_eq!((audit.comparison.unequal(), audit.comparison.late_included), (0, 0));
}

#[test]
fn what_cannot_be_rebuilt_is_refused_with_a_remedy() {
    let (memory, end_ms) = steady_store();
    let inside = START_MS + 7 * MINUTE_MS;
    let said = refused(&memory, end_ms, Some(inside), None);
    assert!(said.contains("give 2023-11-14T22:05:00Z or 2023-11-14T22:10:00Z"), "{said}");
    // The watermark is 10 minutes of lateness and an open window ahead of what is settled.
    let to_ms = START_MS + 200 * MINUTE_MS;
    let said = refused(&memory, end_ms, Some(START_MS), Some(to_ms));
    assert!(said.contains("state of the stream"), "{said}");
    assert!(said.contains("give --to 2023-11-15T00:50:00Z or earlier"), "{said}");
    let now_ms = START_MS + 90 * MINUTE_MS + 7 * 86_400_000;
    let said = refused(&memory, now_ms, Some(START_MS), None);
    assert!(said.contains("past their retention; give --from 2023-11-15T00:50:00Z"), "{said}");
}
