//! A status as tables, at most 100 columns wide.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Process, Report};
use crate::http::probe::Answer;
use crate::kafka::overview::PartitionStand;
use crate::model::{Interval, PartitionMeta, Tally};
use crate::role::duration;
use crate::role::range_query::table;

const NONE: &str = "-";

/// The whole page.
pub(super) fn page(report: &Report, problems: &[String]) -> String {
    let mut page = head(report);
    page += &members(report);
    page += &positions(report);
    page += &counts(report);
    page.push('\n');
    for process in &report.processes {
        let _ = writeln!(page, "process  {}  {}", process.address, said(process));
    }
    match problems {
        [] => page.push_str("problems none\n"),
        // The closing sentence says it.
        [_] => {}
        many => {
            for problem in many {
                let _ = writeln!(page, "problem  {problem}");
            }
        }
    }
    page
}

fn head(report: &Report) -> String {
    let Report { group: name, trades, changelog, bootstrap, overview, .. } = report;
    let group = &overview.group;
    let state = match group.state.as_str() {
        "" => "does not exist yet".to_owned(),
        state if group.protocol.is_empty() => state.to_owned(),
        state => format!("{state}, partitions by {}", group.protocol),
    };
    let partitions = overview.partitions.len();
    format!(
        "group    {name}: {state}\n\
         topic    {trades} on {bootstrap}, {partitions} partitions; state in {changelog}\n"
    )
}

fn members(report: &Report) -> String {
    let group = &report.overview.group;
    if group.members.is_empty() {
        return "members  none\n".to_owned();
    }
    let row = |(index, member): (usize, &crate::kafka::overview::GroupMember)| {
        let instance = member.instance_id.clone().unwrap_or_else(|| NONE.to_owned());
        let partitions = ranges(&member.partitions);
        let number = (index + 1).to_string();
        vec![number, member.client_id.clone(), instance, member.host.clone(), partitions]
    };
    let rows: Vec<Vec<String>> = group.members.iter().enumerate().map(row).collect();
    let header = ["member", "client id", "instance id", "host", "partitions"];
    format!("\n{}", table(&header, &[true, false, false, false, false], &rows))
}

/// Numbers in order, as `0-2, 5`.
pub(super) fn ranges(numbers: &[i32]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let run = |run: &[i32]| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(i32::to_string).collect(),
    };
    let runs: Vec<String> = runs.map(run).collect();
    if runs.is_empty() { NONE.to_owned() } else { runs.join(", ") }
}

fn positions(report: &Report) -> String {
    let stands = &report.overview.partitions;
    let age = |since_ms: Option<i64>| since_ms.map(|since_ms| report.now_ms - since_ms);
    let span = |ms: Option<i64>| ms.map_or_else(|| NONE.to_owned(), duration::text);
    let row = |stand: &PartitionStand| {
        let owner = report.overview.group.owner(stand.partition);
        vec![
            stand.partition.to_string(),
            owner.map_or_else(|| NONE.to_owned(), |index| (index + 1).to_string()),
            stand.committed.map_or_else(|| NONE.to_owned(), |offset| offset.to_string()),
            stand.end.to_string(),
            stand.lag_records().to_string(),
            span(age(stand.oldest_unread_ms)),
            span(age(watermark_ms(stand))),
            windows(stand).to_string(),
        ]
    };
    let mut rows: Vec<Vec<String>> = stands.iter().map(row).collect();
    let oldest = stands.iter().filter_map(|stand| age(stand.oldest_unread_ms)).max();
    let furthest = stands.iter().filter_map(|stand| age(watermark_ms(stand))).max();
    let lag: i64 = stands.iter().map(PartitionStand::lag_records).sum();
    let open: usize = stands.iter().map(windows).sum();
    let blank = String::new;
    let ages = [span(oldest), span(furthest)];
    let all = ["all".to_owned(), blank(), blank(), blank(), lag.to_string()];
    rows.push(all.into_iter().chain(ages).chain([open.to_string()]).collect());
    let header = [
        "partition",
        "owner",
        "committed",
        "end",
        "lag",
        "oldest unread",
        "watermark lag",
        "open windows",
    ];
    let mut text = format!("\n{}", table(&header, &[true; 8], &rows));
    let by_interval: Vec<String> = by_interval(stands)
        .iter()
        .map(|(interval, count)| format!("{count} of {interval}"))
        .collect();
    if !by_interval.is_empty() {
        let _ = writeln!(text, "open windows: {}", by_interval.join(", "));
    }
    text
}

fn counts(report: &Report) -> String {
    let stands = &report.overview.partitions;
    let cells = |tally: &Tally, live: usize| {
        let Tally { merged, duplicate, rejected, late, control } = *tally;
        let counts = [merged, duplicate, rejected, late, control].map(|count| count.to_string());
        counts.into_iter().chain([live.to_string()]).collect::<Vec<String>>()
    };
    let row = |stand: &PartitionStand| {
        let mut row = vec![stand.partition.to_string()];
        match &stand.meta {
            Some(meta) => {
                row.extend(cells(&meta.tally, live_connections(meta)));
                row.push(meta.generation.to_string());
            }
            None => row.extend([NONE; 7].map(str::to_owned)),
        }
        row
    };
    let mut rows: Vec<Vec<String>> = stands.iter().map(row).collect();
    let live = stands.iter().filter_map(|stand| stand.meta.as_ref()).map(live_connections).max();
    let mut all = vec!["all".to_owned()];
    all.extend(cells(&total(stands), live.unwrap_or(0)));
    all.push(String::new());
    rows.push(all);
    let header =
        ["partition", "merged", "duplicate", "rejected", "late", "control", "feeds", "generation"];
    format!(
        "\n{}records since the generation began; feeds: live connections\n",
        table(&header, &[true; 8], &rows)
    )
}

fn said(process: &Process) -> String {
    match &process.answer {
        Answer::Ready => "ready".to_owned(),
        Answer::NotReady(reason) => format!("not ready: {reason}"),
        Answer::Silent => "does not answer".to_owned(),
        Answer::Absent(why) => format!("nobody there ({why}); --process asks elsewhere"),
        Answer::Foreign(what) => format!("not ticksmith ({what}); --process asks elsewhere"),
    }
}

pub(super) fn watermark_ms(stand: &PartitionStand) -> Option<i64> {
    stand.meta.as_ref().and_then(|meta| meta.watermark_ms)
}

/// Every partition hears of every connection.
pub(super) fn live_connections(meta: &PartitionMeta) -> usize {
    meta.connections.iter().filter(|connection| connection.live).count()
}

pub(super) fn windows(stand: &PartitionStand) -> usize {
    stand.open_windows.values().sum()
}

pub(super) fn by_interval(stands: &[PartitionStand]) -> BTreeMap<Interval, usize> {
    let mut sums = BTreeMap::new();
    for (interval, count) in stands.iter().flat_map(|stand| &stand.open_windows) {
        *sums.entry(*interval).or_default() += count;
    }
    sums
}

pub(super) fn total(stands: &[PartitionStand]) -> Tally {
    let tallies = stands.iter().filter_map(|stand| Some(stand.meta.as_ref()?.tally));
    tallies.fold(Tally::default(), |sum, one| Tally {
        merged: sum.merged + one.merged,
        duplicate: sum.duplicate + one.duplicate,
        rejected: sum.rejected + one.rejected,
        late: sum.late + one.late,
        control: sum.control + one.control,
    })
}
