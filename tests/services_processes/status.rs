//! `ticksmith status` beside real processes: two that share the partitions, one of them paused, and
//! what goes wrong between the group, its log and its state.

use serde_json::Value;

use crate::harness::process::{Ended, Process};
use crate::harness::world::free_port;
use crate::harness::{World, eventually, with_steady_servers};

const BASE_MS: i64 = 1_710_184_800_000;
/// More than symbols, so that some partitions stay empty.
const PARTITIONS: i64 = 16;
const TRADES: i64 = 2_000;

/// Topics only: what is looked at is in Kafka.
fn world() -> World {
    let mut world = World::new("status");
    world.set("TOPICS__PARTITIONS", &PARTITIONS.to_string());
    world.set("STREAM__STORE", "none");
    // A paused process keeps its partitions for as long as this case takes.
    world.set("KAFKA__SESSION_TIMEOUT_MS", "60000");
    world.succeed(&["topics"]);
    world
}

/// Starts a stream with a port of its own; returns it with the address of its page.
fn start(world: &mut World, instance_id: &str) -> (Process, String) {
    let port = free_port();
    world.set("STREAM__HTTP_PORT", &port);
    world.set("KAFKA__INSTANCE_ID", instance_id);
    (world.start(&["stream"]), format!("http://127.0.0.1:{port}"))
}

fn produce(world: &World, seed: i64) {
    let [trades, base_ms] = [TRADES, BASE_MS].map(|number| number.to_string());
    let (seed, connection) = (seed.to_string(), (1_700_000_000_000_000 + seed).to_string());
    let more = ["--seed", &seed, "--connection", &connection];
    world
        .python("produce.py", &[&["--trades", &trades, "--base-ms", &base_ms][..], &more].concat());
}

/// The object that was printed, and the exit code.
fn status(world: &World, more: &[&str]) -> (Value, i32, Ended) {
    let ended = world.run(&[&["status", "--format", "json"], more].concat());
    (ended.json(), ended.code(), ended)
}

fn problems(status: &Value) -> Vec<&str> {
    let problems = status["problems"].as_array().expect("an array").iter();
    problems.filter_map(Value::as_str).collect()
}

/// Sums a number over the partitions of one member, or of all.
fn sum(status: &Value, owner: Option<&Value>, number: impl Fn(&Value) -> i64) -> i64 {
    let partitions = status["partitions"].as_array().expect("an array").iter();
    let wanted = partitions.filter(|one| owner.is_none_or(|owner| one["owner"] == *owner));
    wanted.map(number).sum()
}

fn lag(partition: &Value) -> i64 {
    partition["lag_records"].as_i64().expect("a lag")
}

/// Waits until both are members and have read everything; returns the status of then.
fn when_both_are_at_work(world: &World, first: &str) -> Value {
    eventually("two processes at work", || {
        let (status, code, ended) = status(world, &["--process", first]);
        let is_read = status["total"]["lag_records"] == 0;
        if code == 0 && is_read && status["group"]["members"].as_array().map(Vec::len) == Some(2) {
            Ok(status)
        } else {
            Err(ended.said)
        }
    })
}

#[test]
fn the_status_shows_who_reads_what_and_names_what_is_wrong() {
    let _servers = with_steady_servers();
    let mut world = world();
    let (unread, code, ended) = status(&world, &[]);
    assert_eq!(code, 1, "{}", ended.said);
    assert!(problems(&unread)[0].contains("no member"), "{}", ended.said);
    assert!(ended.said.contains("start `ticksmith stream`"), "{}", ended.said);

    let (first, first_page) = start(&mut world, "");
    produce(&world, 1);
    let (second, _) = start(&mut world, "desk-2");
    let well = when_both_are_at_work(&world, &first_page);
    is_whole(&well);
    let paused = while_paused(&world, &second, &first_page);
    assert_eq!(sum(&paused, None, lag), lag(&paused["total"]));
    second.signal(libc::SIGCONT);
    when_both_are_at_work(&world, &first_page);
    let page = world.succeed(&["status"]);
    let all = page.lines().find(|line| line.trim_start().starts_with("all")).expect("sums");
    assert_eq!(all.split_whitespace().nth(1), Some("0"), "the lag of {page}");
    // Of the head the names decide, which are long here.
    assert!(page.lines().skip(2).all(|line| line.chars().count() <= 100), "{page}");

    someone_else_has_no_claim_to_the_state(&world);
    assert_eq!([first.terminate().code(), second.terminate().code()], [0, 0]);
    records_that_are_gone_are_named(&world);
}

/// Figures that can be known: of 16 partitions, one owner each, all trades counted once.
fn is_whole(status: &Value) {
    let members = status["group"]["members"].as_array().expect("members");
    let instances: Vec<Option<&str>> =
        members.iter().map(|member| member["instance_id"].as_str()).collect();
    assert!(instances.contains(&None) && instances.contains(&Some("desk-2")), "{members:?}");
    for member in members {
        assert_eq!(sum(status, Some(&member["member_id"]), |_| 1), PARTITIONS / 2, "{member}");
        assert_eq!(member["host"], "127.0.0.1");
    }
    assert_eq!(status["group"]["state"], "Stable");
    assert_eq!(status["total"]["records"]["total"], TRADES);
    let partitions = status["partitions"].as_array().expect("partitions").iter();
    let (empty, read): (Vec<_>, Vec<_>) = partitions.partition(|one| one["end"] == 0);
    assert!(!empty.is_empty() && !read.is_empty(), "11 symbols in 16 partitions");
    for one in empty {
        assert!(one["committed"].is_null() && one["state"].is_null(), "{one}");
    }
    for one in read {
        assert_eq!(one["committed"], one["end"]);
        assert_eq!(one["state"]["next_offset"], one["end"]);
        assert_eq!(one["state"]["live_connections"], 0, "this producer tells of none: {one}");
        let lag = one["state"]["watermark_lag_ms"].as_i64().expect("a watermark");
        let watermark = one["state"]["watermark_ms"].as_i64().expect("a watermark");
        assert_eq!(watermark + lag, status["now_ms"].as_i64().expect("a time"));
        assert!((BASE_MS..BASE_MS + 105 * 60_000).contains(&watermark), "{one}");
        assert!(one["open_windows_by_interval"]["1h"].as_i64() > Some(0), "{one}");
    }
    let processes = status["processes"].as_array().expect("processes");
    assert_eq!(processes.len(), 2, "{processes:?}");
    assert!(processes.iter().all(|one| one["state"] == "ready"), "{processes:?}");
}

/// The paused one keeps its partitions and falls behind; the other one goes on.
fn while_paused(world: &World, second: &Process, first_page: &str) -> Value {
    second.signal(libc::SIGSTOP);
    produce(world, 2);
    eventually("the paused process is told from the one at work", || {
        let (paused, code, ended) = status(world, &["--process", first_page]);
        let members = paused["group"]["members"].as_array().expect("members").clone();
        let is_second = |member: &&Value| member["instance_id"] == "desk-2";
        let second = members.iter().find(is_second).ok_or("the paused one is gone")?;
        let other = members.iter().find(|one| !is_second(one)).ok_or("the other one is gone")?;
        if sum(&paused, Some(&other["member_id"]), lag) > 0 {
            return Err(ended.said);
        }
        let behind = sum(&paused, Some(&second["member_id"]), lag);
        assert!(behind > 0 && behind < TRADES, "{}", ended.said);
        assert!(paused["total"]["oldest_unread_ms"].as_i64() >= Some(0), "{}", ended.said);
        assert_eq!(code, 1, "{}", ended.said);
        let [problem] = problems(&paused)[..] else { panic!("not one problem: {}", ended.said) };
        let address = world.setting("STREAM__HTTP_PORT");
        assert!(problem.contains(address) && problem.contains("does not answer"), "{problem}");
        Ok(paused)
    })
}

fn someone_else_has_no_claim_to_the_state(world: &World) {
    let (status, code, ended) = status(world, &["--group", &format!("{}-other", world.name())]);
    assert_eq!(code, 1, "{}", ended.said);
    let problems = problems(&status);
    assert!(problems[0].contains("has no member"), "{problems:?}");
    let claims = problems.iter().filter(|one| one.contains("has committed nothing"));
    let with_state = sum(&status, None, |one| i64::from(!one["state"].is_null()));
    assert_eq!(claims.count() as i64, with_state, "{problems:?}");
    assert!(with_state > 0 && problems[1].contains("ticksmith reset"), "{problems:?}");
}

/// Retention passed while nobody read.
fn records_that_are_gone_are_named(world: &World) {
    produce(world, 3);
    let observer = world.observer();
    let (ends, committed) = (observer.ends().expect("ends"), observer.committed().expect("told"));
    let behind = |(partition, end): &(&i32, &i64)| {
        committed.get(partition).is_some_and(|committed| committed < end)
    };
    let (partition, end) = ends.iter().find(behind).expect("a partition that was not read");
    observer.delete_all();
    let (status, code, ended) = status(world, &[]);
    assert_eq!(code, 1, "{}", ended.said);
    let gone = format!("partition {partition}: the group stands at offset");
    let problem = problems(&status).into_iter().find(|one| one.contains(&gone)).map(str::to_owned);
    let problem = problem.unwrap_or_else(|| panic!("{}", ended.said));
    let records = end - committed[partition];
    assert!(problem.contains(&format!("{records} records are gone")), "{problem}");
    assert!(problem.contains("ticksmith reset --to-earliest"), "{problem}");
}
