//! A status as one JSON object, for programs. Times are ms since the epoch, lengths ms.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::text::{by_interval, live_connections, total, watermark_ms, windows};
use super::{Process, Report};
use crate::http::probe::Answer;
use crate::kafka::overview::{GroupMember, PartitionStand};
use crate::model::{Interval, PartitionMeta, Tally};

/// The whole object, indented, with a line end.
pub(super) fn object(report: &Report, problems: &[String]) -> String {
    let stands = &report.overview.partitions;
    let group = &report.overview.group;
    let age = |since_ms: Option<i64>| since_ms.map(|since_ms| report.now_ms - since_ms);
    let object = json!({
        "now_ms": report.now_ms,
        "bootstrap": report.bootstrap,
        "group": {
            "name": report.group,
            "state": group.state,
            "protocol": group.protocol,
            "members": group.members.iter().map(member).collect::<Vec<_>>(),
        },
        "topics": { "trades": report.trades, "changelog": report.changelog },
        "partitions": stands.iter().map(|stand| partition(report, stand)).collect::<Vec<_>>(),
        "total": {
            "lag_records": stands.iter().map(PartitionStand::lag_records).sum::<i64>(),
            "oldest_unread_ms":
                stands.iter().filter_map(|stand| age(stand.oldest_unread_ms)).max(),
            "watermark_lag_ms": stands.iter().filter_map(|stand| age(watermark_ms(stand))).max(),
            "open_windows": stands.iter().map(windows).sum::<usize>(),
            "open_windows_by_interval": named(&by_interval(stands)),
            "records": tally(&total(stands)),
        },
        "processes": report.processes.iter().map(process).collect::<Vec<_>>(),
        "problems": problems,
    });
    format!("{object:#}\n")
}

fn member(member: &GroupMember) -> Value {
    json!({
        "member_id": member.member_id,
        "client_id": member.client_id,
        "instance_id": member.instance_id,
        "host": member.host,
        "partitions": member.partitions,
    })
}

fn partition(report: &Report, stand: &PartitionStand) -> Value {
    let group = &report.overview.group;
    let owner = group.owner(stand.partition).map(|index| &group.members[index].member_id);
    json!({
        "partition": stand.partition,
        "owner": owner,
        "log_start": stand.log_start,
        "committed": stand.committed,
        "end": stand.end,
        "lag_records": stand.lag_records(),
        "oldest_unread_ms": stand.oldest_unread_ms.map(|since_ms| report.now_ms - since_ms),
        "state_agrees": stand.state_agrees,
        "state": stand.meta.as_ref().map(|meta| state(report, meta)),
        "open_windows": windows(stand),
        "open_windows_by_interval": named(&stand.open_windows),
    })
}

fn state(report: &Report, meta: &PartitionMeta) -> Value {
    json!({
        "next_offset": meta.next_offset,
        "watermark_ms": meta.watermark_ms,
        "watermark_lag_ms": meta.watermark_ms.map(|watermark_ms| report.now_ms - watermark_ms),
        "live_connections": live_connections(meta),
        "generation": meta.generation,
        "partition_count": meta.partition_count,
        "records": tally(&meta.tally),
    })
}

fn tally(tally: &Tally) -> Value {
    let Tally { merged, duplicate, rejected, late, control } = *tally;
    json!({
        "merged": merged,
        "duplicate": duplicate,
        "rejected": rejected,
        "late": late,
        "control": control,
        "total": tally.total(),
    })
}

fn named(counts: &BTreeMap<Interval, usize>) -> BTreeMap<String, usize> {
    counts.iter().map(|(interval, count)| (interval.to_string(), *count)).collect()
}

fn process(process: &Process) -> Value {
    let (state, reason) = match &process.answer {
        Answer::Ready => ("ready", None),
        Answer::NotReady(reason) => ("not_ready", Some(reason)),
        Answer::Silent => ("silent", None),
        Answer::Absent(why) => ("absent", Some(why)),
        Answer::Foreign(what) => ("foreign", Some(what)),
    };
    json!({ "address": process.address, "state": state, "reason": reason })
}
