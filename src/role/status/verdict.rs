//! What of a status needs the operator, in sentences that name the remedy. A lag is no problem by
//! itself: how much of it is too much depends on the market and on what the bars are for.

use super::{Process, Report};
use crate::http::probe::Answer;
use crate::kafka::overview::PartitionStand;

/// The most urgent first.
pub(super) fn problems(report: &Report) -> Vec<String> {
    let mut problems: Vec<String> = of_group(report).into_iter().collect();
    let partitions = &report.overview.partitions;
    // Whose partitions they are is only settled in a group that is.
    if problems.is_empty() {
        problems.extend(without_owner(report));
    }
    problems.extend(partitions.iter().filter_map(|stand| of_offsets(report, stand)));
    problems.extend(report.processes.iter().filter_map(of_process));
    problems
}

/// One line for the end: everything, or where to find it.
pub(super) fn closing(problems: &[String]) -> Option<String> {
    match problems {
        [] => None,
        [one] => Some(one.clone()),
        [first, ..] => {
            Some(format!("{} problems are listed above, first: {first}", problems.len()))
        }
    }
}

fn of_group(report: &Report) -> Option<String> {
    let (group, topic) = (&report.overview.group, &report.trades);
    let name = &report.group;
    if group.is_rebalancing() {
        return Some(format!(
            "group '{name}' is handing out its partitions ({}): look again in a moment; if it \
             stays so, a member does not answer: its session ends after kafka.session_timeout_ms",
            group.state
        ));
    }
    group.members.is_empty().then(|| {
        format!("group '{name}' has no member, so nobody reads '{topic}': start `ticksmith stream`")
    })
}

fn without_owner(report: &Report) -> Option<String> {
    let group = &report.overview.group;
    let stands = report.overview.partitions.iter();
    let numbers = stands.map(|stand| stand.partition).filter(|one| group.owner(*one).is_none());
    let orphans: Vec<i32> = numbers.collect();
    let (which, has) = match orphans.len() {
        0 => return None,
        1 => ("partition", "has"),
        _ => ("partitions", "have"),
    };
    Some(format!(
        "{which} {} of '{}' {has} no owner: restart the processes of group '{}'; partitions that \
         were added to the topic need new topics and a new group",
        super::text::ranges(&orphans),
        report.trades,
        report.group
    ))
}

fn of_offsets(report: &Report, stand: &PartitionStand) -> Option<String> {
    let PartitionStand { partition, log_start, end, .. } = *stand;
    let (topic, changelog) = (&report.trades, &report.changelog);
    let state = stand.meta.as_ref();
    match stand.committed {
        Some(committed) if committed < log_start => {
            return Some(format!(
                "'{topic}' partition {partition}: the group stands at offset {committed}, but the \
                 log begins at {log_start}, so {} records are gone unread: `ticksmith reset \
                 --to-earliest` shows how to go on without them",
                log_start - committed
            ));
        }
        Some(committed) if committed > end => {
            return Some(format!(
                "'{topic}' partition {partition}: the group stands at offset {committed}, but the \
                 log ends at {end}: the topic was made anew; `ticksmith reset --to-earliest` shows \
                 how to begin anew with it"
            ));
        }
        _ => {}
    }
    if !stand.state_agrees {
        let shown = |offset: Option<i64>| offset.map_or("nothing".into(), |one| one.to_string());
        return Some(format!(
            "partition {partition}: the state in '{changelog}' stands at offset {}, but the group \
             has committed {}: one of them was deleted or is of another group; bring it back, or \
             see `ticksmith reset --help`",
            shown(state.map(|meta| meta.next_offset)),
            shown(stand.committed)
        ));
    }
    let (windows, feeds) = (stand.open_windows.values().sum::<usize>(), stand.feeds);
    let counts = state.and_then(|meta| meta.counts_unlike(windows as i64, feeds as i64));
    if let Some((all_windows, all_feeds)) = counts {
        return Some(format!(
            "partition {partition}: '{changelog}' has {windows} of {all_windows} windows and \
             {feeds} of {all_feeds} feeds of its state, so part of it was deleted (the topic needs \
             cleanup.policy=compact) and no process can take the partition over: bring it back, or \
             see `ticksmith reset --help`"
        ));
    }
    let partitions = report.overview.partitions.len();
    let made_under = state.map(|meta| meta.partition_count)?;
    (usize::try_from(made_under) != Ok(partitions)).then(|| {
        format!(
            "partition {partition}: its state was made when '{topic}' had {made_under} partitions, \
             now there are {partitions}, so symbols have moved away from their state: make new \
             topics, and start a new kafka.group"
        )
    })
}

fn of_process(process: &Process) -> Option<String> {
    let address = &process.address;
    match &process.answer {
        Answer::Ready => None,
        Answer::NotReady(reason) => Some(format!(
            "the process at {address} is not ready: {reason}; if that lasts, its log says more"
        )),
        Answer::Silent => Some(format!(
            "the process at {address} does not answer: it is paused, or hangs; restart it"
        )),
        Answer::Absent(why) if process.is_named => {
            Some(format!("no process at {address} ({why}): start it, or correct --process"))
        }
        Answer::Foreign(what) if process.is_named => Some(format!(
            "at {address} is no process of ticksmith (it answers {what}): correct --process"
        )),
        // Where a process of this machine would be, and need not.
        Answer::Absent(_) | Answer::Foreign(_) => None,
    }
}
