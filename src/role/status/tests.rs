use super::*;
use crate::kafka::overview::{Group, GroupMember, PartitionStand};
use crate::model::{ConnectionState, Interval, PartitionMeta, Tally};

const NOW_MS: i64 = 1_710_163_800_000;

fn member(name: &str, instance_id: Option<&str>, partitions: &[i32]) -> GroupMember {
    GroupMember {
        member_id: format!("{name}-0d9e5c1e-4f3a-4b57-9a52-9c8f7d1b2a3c"),
        client_id: "ticksmith".into(),
        host: "10.0.0.7".into(),
        instance_id: instance_id.map(str::to_owned),
        partitions: partitions.to_vec(),
    }
}

fn connection(live: bool) -> ConnectionState {
    ConnectionState {
        connection: 1_710_163_000_000_000,
        feed: "finnhub/0".into(),
        mark: 9,
        live,
        feed_time_ms: None,
        ended_at_watermark_ms: None,
        ended_by: None,
        feed_offset_ms: None,
        confirmed_ms: None,
    }
}

/// A partition that is read up to the last 12 of 1,000 records.
fn stand(partition: i32) -> PartitionStand {
    let interval = |text| Interval::parse(text).expect("an interval");
    let meta = PartitionMeta {
        next_offset: 988,
        watermark_ms: Some(NOW_MS - 2_400),
        connections: vec![connection(true), connection(false)],
        tally: Tally { merged: 900, duplicate: 3, rejected: 1, late: 4, control: 80 },
        consumed: 988,
        generation: 1,
        partition_count: 3,
        windows: Some(21),
        feeds: Some(3),
        ..PartitionMeta::default()
    };
    PartitionStand {
        partition,
        log_start: 0,
        committed: Some(988),
        end: 1_000,
        oldest_unread_ms: Some(NOW_MS - 90_500),
        meta: Some(meta),
        open_windows: [(interval("5m"), 14), (interval("1h"), 7)].into(),
        feeds: 3,
        state_agrees: true,
    }
}

/// Two members; nobody has written to partition 2 yet.
fn report() -> Report {
    let members = vec![member("ticksmith", None, &[0, 1]), member("desk-2", Some("desk-2"), &[2])];
    let empty = PartitionStand { partition: 2, state_agrees: true, ..PartitionStand::default() };
    let group = Group { state: "Stable".into(), protocol: "range".into(), members };
    let process =
        |address: &str, answer| Process { address: address.to_owned(), answer, is_named: false };
    Report {
        bootstrap: "localhost:9092".into(),
        group: "ticksmith-stream".into(),
        trades: "trades".into(),
        changelog: "ticksmith-changelog".into(),
        now_ms: NOW_MS,
        overview: Overview { group, partitions: vec![stand(0), stand(1), empty] },
        processes: vec![process("http://127.0.0.1:8080", Answer::Ready)],
    }
}

const PAGE: &str = "\
group    ticksmith-stream: Stable, partitions by range
topic    trades on localhost:9092, 3 partitions; state in ticksmith-changelog

member  client id  instance id  host      partitions
     1  ticksmith  -            10.0.0.7  0-1
     2  ticksmith  desk-2       10.0.0.7  2

partition  owner  committed   end  lag  oldest unread  watermark lag  open windows
        0      1        988  1000   12          1m30s           2.4s            21
        1      1        988  1000   12          1m30s           2.4s            21
        2      2          -     0    0              -              -             0
      all                           24          1m30s           2.4s            42
open windows: 28 of 5m, 14 of 1h

partition  merged  duplicate  rejected  late  control  feeds  generation
        0     900          3         1     4       80      1           1
        1     900          3         1     4       80      1           1
        2       -          -         -     -        -      -           -
      all    1800          6         2     8      160      1
records since the generation began; feeds: live connections

process  http://127.0.0.1:8080  ready
problems none
";

#[test]
fn the_page_shows_members_partitions_and_processes() {
    let report = report();
    assert_eq!(verdict::problems(&report), [""; 0]);
    assert_eq!(text::page(&report, &[]), PAGE);
}

#[test]
fn the_page_fits_a_terminal_with_large_numbers_too() {
    let mut report = report();
    for stand in &mut report.overview.partitions {
        (stand.committed, stand.end) = (Some(98_765_432_100), 98_765_432_199);
        if let Some(meta) = &mut stand.meta {
            meta.tally.merged = 98_765_432_100;
        }
    }
    let page = text::page(&report, &[]);
    let widest = page.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{page}");
}

#[test]
fn the_object_has_every_figure_of_the_page() {
    let report = report();
    let object = json::object(&report, &["something".to_owned()]);
    let object: serde_json::Value = serde_json::from_str(&object).expect("JSON");
    assert_eq!(object["group"]["members"][1]["instance_id"], "desk-2");
    assert_eq!(object["group"]["members"][0]["partitions"], serde_json::json!([0, 1]));
    let first = &object["partitions"][0];
    assert_eq!(first["owner"], object["group"]["members"][0]["member_id"]);
    assert_eq!(first["lag_records"], 12);
    assert_eq!(first["oldest_unread_ms"], 90_500);
    assert_eq!(first["state"]["watermark_lag_ms"], 2_400);
    assert_eq!(first["state"]["live_connections"], 1);
    assert_eq!(first["state"]["records"]["merged"], 900);
    assert_eq!(first["open_windows_by_interval"]["5m"], 14);
    let unread = &object["partitions"][2];
    assert!(unread["committed"].is_null() && unread["state"].is_null(), "{unread:#}");
    assert_eq!(object["total"]["open_windows"], 42);
    assert_eq!(object["total"]["records"]["total"], 1_976);
    assert_eq!(object["processes"][0]["state"], "ready");
    assert_eq!(object["problems"], serde_json::json!(["something"]));
}

/// What is said when `change` has happened to a status without problems.
fn told(change: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = report();
    change(&mut report);
    verdict::problems(&report)
}

fn one(change: impl FnOnce(&mut Report), words: &[&str]) {
    let problems = told(change);
    let [problem] = &problems[..] else { panic!("not one problem: {problems:?}") };
    for word in words {
        assert!(problem.contains(word), "'{word}' is not in: {problem}");
    }
}

#[test]
fn a_group_without_members_and_partitions_without_owner_are_named() {
    one(
        |report| report.overview.group = Group::default(),
        &["'ticksmith-stream' has no member", "start `ticksmith stream`"],
    );
    one(
        |report| {
            report.overview.group.state = "PreparingRebalance".into();
            report.overview.group.members[0].partitions.clear();
        },
        &["handing out", "PreparingRebalance", "look again"],
    );
    one(
        |report| report.overview.group.members[0].partitions.clear(),
        &["partitions 0-1 of 'trades' have no owner", "restart"],
    );
    one(
        |report| report.overview.group.members[1].partitions.clear(),
        &["partition 2 of 'trades' has no owner"],
    );
}

#[test]
fn offsets_and_state_that_do_not_fit_are_named_with_the_command_that_mends_them() {
    let first = |change: fn(&mut PartitionStand)| {
        move |report: &mut Report| change(&mut report.overview.partitions[0])
    };
    one(
        first(|stand| stand.log_start = 990),
        &[
            "partition 0",
            "offset 988",
            "begins at 990",
            "2 records are gone",
            "reset --to-earliest",
        ],
    );
    one(first(|stand| stand.end = 7), &["offset 988", "ends at 7", "reset --to-earliest"]);
    one(
        first(|stand| (stand.meta, stand.state_agrees) = (None, false)),
        &["'ticksmith-changelog' stands at offset nothing", "committed 988", "ticksmith reset"],
    );
    one(
        first(|stand| stand.feeds = 1),
        &["partition 0", "has 21 of 21 windows and 1 of 3 feeds", "ticksmith reset"],
    );
    let under_six = |report: &mut Report| {
        let stand = &mut report.overview.partitions[1];
        stand.meta.as_mut().expect("there").partition_count = 6;
    };
    one(under_six, &["partition 1", "had 6 partitions", "now there are 3"]);
}

#[test]
fn a_process_that_is_not_ready_is_a_problem_and_an_absent_one_only_when_it_was_named() {
    let answered = |answer: Answer, is_named: bool| {
        move |report: &mut Report| {
            let process = &mut report.processes[0];
            (process.answer, process.is_named) = (answer, is_named);
        }
    };
    let restoring = Answer::NotReady("restoring partition 3: 12000 of about 40000".into());
    one(answered(restoring, false), &["http://127.0.0.1:8080", "12000 of about 40000"]);
    one(answered(Answer::Silent, false), &["does not answer", "restart"]);
    for answer in [Answer::Absent("refused".into()), Answer::Foreign("HTTP 404".into())] {
        assert_eq!(told(answered(answer.clone(), false)), [""; 0]);
        one(answered(answer, true), &["http://127.0.0.1:8080", "--process"]);
    }
}

#[test]
fn the_closing_sentence_names_the_first_and_how_many_there_are() {
    let problems = told(|report| {
        report.overview.partitions[0].log_start = 990;
        report.processes[0].answer = Answer::Silent;
    });
    let closing = verdict::closing(&problems).expect("problems");
    assert!(closing.starts_with("2 problems") && closing.contains("990"), "{closing}");
    let page = text::page(&report(), &problems);
    assert_eq!(page.matches("\nproblem  ").count(), 2, "{page}");
    assert_eq!(verdict::closing(&problems[..1]).as_ref(), problems.first());
    assert_eq!(verdict::closing(&[]), None);
}

#[test]
fn the_process_of_this_configuration_is_asked_once() {
    let mut http = Config::defaults().http;
    assert_eq!(own_address(&http, 8080), Some("http://127.0.0.1:8080".into()));
    assert_eq!(own_address(&http, 0), None);
    for (bind, expected) in [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("fe80::1", "[fe80::1]")] {
        http.bind = bind.into();
        assert_eq!(own_address(&http, 1), Some(format!("http://{expected}:1")));
    }
    // Nobody gets this port.
    let address = "http://127.0.0.1:1".to_owned();
    let asked = ask(std::slice::from_ref(&address), Some(address.clone()));
    assert!(matches!(&asked[..], [one] if one.is_named && one.address == address), "{asked:?}");
}
