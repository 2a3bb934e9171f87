//! An explanation as a page of text.

use std::fmt::Write;

use crate::model::{
    Agreement, Bar, BarRevision, ConditionMeaning, Exclusion, ExclusionReason, ExplainedTrade,
    Explanation, GapInside, Listed, PriceSetter, StoredEvent, VolumeSplit,
};
use crate::role::range_query::{table, time_text};

/// The whole page.
pub(super) fn page(it: &Explanation) -> String {
    let window = (time_text(it.window.start_ms), time_text(it.window.end_ms));
    let mut page = format!("{} {}  {} to {}\n", it.symbol, it.interval, window.0, window.1);
    match &it.bar {
        Some(bar) => page += &bar_lines(bar, it),
        None => {
            let _ = writeln!(page, "\n{}: {}", it.agreement_text, it.completeness_text);
        }
    }
    for setter in &it.prices {
        page += &setter_lines(setter);
    }
    page += &split_lines(&it.split);
    page += &listed_lines("set no price", &it.excluded);
    page += &listed_lines("late, not in the bar", &it.late);
    page += &diverted_lines(it);
    page += &gap_lines(&it.gaps, it.unlisted_gap_ms);
    page += &event_lines(&it.events);
    page += &revision_lines(&it.revisions);
    page
}

fn bar_lines(bar: &Bar, it: &Explanation) -> String {
    let mut text = String::from("\n");
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<11}{value}");
    };
    let (state, revision) = (bar.state.as_str(), bar.revision);
    line("bar", format!("{state}, revision {revision}, generation {}", bar.generation));
    let price = |value: Option<f64>| value.map_or("-".to_owned(), |value| value.to_string());
    let [open, high, low, close] =
        [bar.open, bar.high, bar.low, bar.close].map(|point| price(point.map(|at| at.price)));
    line("prices", format!("open {open}  high {high}  low {low}  close {close}"));
    let (volume, count) = (bar.volume, plural(bar.trade_count, "trade"));
    line("volume", format!("{volume} in {count}, vwap {}", price(bar.vwap)));
    if let Some(session) = bar.session {
        line("session", session.as_str().to_owned());
    }
    let coverage = bar.coverage.map_or(String::new(), |share| {
        format!(" (coverage {:.1} %, gap {} ms)", share * 100.0, bar.gap_ms)
    });
    line("feed", format!("{}{coverage}", it.completeness_text));
    let version = bar.conditions_version;
    line("rules", format!("policy {}, sale conditions version {version}", it.policy));
    if bar.late_included > 0 {
        line("late", format!("{} put in by a rebuild", plural(bar.late_included, "trade")));
    }
    line("check", it.agreement_text.clone());
    if let Agreement::Differs(differences) = &it.agreement {
        let cells = |one: &crate::model::Difference| {
            vec![one.column.clone(), one.stored.clone(), one.recomputed.clone()]
        };
        let rows: Vec<Vec<String>> = differences.iter().map(cells).collect();
        let differing = table(&["", "stored", "from the trades"], &[false; 3], &rows);
        text += &indented(&differing);
    }
    text
}

fn setter_lines(setter: &PriceSetter) -> String {
    let point = setter.point;
    let mut text = format!(
        "\n{:<11}{}  at {}  connection {} seq {}\n",
        setter.name,
        point.price,
        time_text(point.trade_time_ms),
        point.connection,
        point.seq
    );
    if let Some(trade) = &setter.trade {
        let volume = trade.judged.trade.volume;
        let conditions = words(&trade.conditions);
        let _ = writeln!(text, "{:<11}volume {volume}, {conditions}", "");
    }
    let _ = writeln!(text, "{:<11}{}", "", setter.why);
    text
}

/// `codes 12 Odd lot, 41 Trade-through exempt (a flag)`.
fn words(conditions: &[ConditionMeaning]) -> String {
    if conditions.is_empty() {
        return "no codes".to_owned();
    }
    let word = |one: &ConditionMeaning| match &one.name {
        Some(name) => format!("{} {name}", one.code),
        None => format!("{} (not in the table)", one.code),
    };
    let all: Vec<String> = conditions.iter().map(word).collect();
    format!("{} {}", if all.len() == 1 { "code" } else { "codes" }, all.join(", "))
}

fn split_lines(split: &VolumeSplit) -> String {
    if split.counted.count == 0 && split.forbidden.is_empty() {
        return String::new();
    }
    let row = |name: String, what: Exclusion| vec![name, what.volume.to_string(), trades(what)];
    let mut rows = vec![row("sets prices".to_owned(), split.sets_price)];
    for (reason, what) in ExclusionReason::ALL.iter().zip(split.excluded) {
        if what.count > 0 {
            rows.push(row(format!("excluded: {}", reason.as_str()), what));
        }
    }
    rows.push(row("the bar's volume".to_owned(), split.counted));
    for one in &split.forbidden {
        let name = one.condition.name.as_deref().unwrap_or("not in the table");
        rows.push(row(format!("not counted: {} {name}", one.condition.code), one.what));
    }
    let mut text = format!("\n{}", table(&["split", "volume", ""], &[false, true, false], &rows));
    if split.price_updates > 0 {
        let updates = plural(split.price_updates, "price update");
        let _ = writeln!(text, "{updates} of volume 0 among those that count");
    }
    text
}

fn trades(what: Exclusion) -> String {
    plural(what.count, "trade")
}

fn listed_lines(title: &str, listed: &Listed) -> String {
    if listed.trades.is_empty() {
        return String::new();
    }
    const HEADER: [&str; 7] = ["time", "price", "volume", "connection", "seq", "conditions", "why"];
    const RIGHT: [bool; 7] = [false, true, true, true, true, false, false];
    let rows: Vec<Vec<String>> = listed.trades.iter().map(cells).collect();
    let count = plural((listed.trades.len() + listed.hidden) as i64, "trade");
    let mut text = format!("\n{count} {title}\n{}", indented(&table(&HEADER, &RIGHT, &rows)));
    if listed.hidden > 0 {
        let _ = writeln!(text, "  {} more; --all shows them", listed.hidden);
    }
    text
}

fn cells(one: &ExplainedTrade) -> Vec<String> {
    let trade = &one.judged.trade;
    let codes: Vec<&str> = one.conditions.iter().map(|condition| &*condition.code).collect();
    let why = match (&one.reason, one.judged.lateness) {
        (Some(reason), _) => format!("{}: {}", reason.as_str(), one.why),
        (None, Some(_)) => {
            let arrived = time_text(trade.received_at_us.div_euclid(1_000));
            format!("received {arrived}, {}", one.why)
        }
        (None, None) => one.why.clone(),
    };
    vec![
        time_text(trade.trade_time_ms),
        trade.price.to_string(),
        trade.volume.to_string(),
        trade.connection.to_string(),
        trade.seq.to_string(),
        if codes.is_empty() { "-".to_owned() } else { codes.join(",") },
        why,
    ]
}

fn diverted_lines(it: &Explanation) -> String {
    if it.diverted.is_empty() {
        return String::new();
    }
    let all: Vec<String> = it
        .diverted
        .iter()
        .map(|one| format!("{} {} ({})", one.count, one.disposition, one.reason))
        .collect();
    format!("\ndiverted   {}\n", all.join(", "))
}

fn gap_lines(gaps: &[GapInside], unlisted_ms: i64) -> String {
    if gaps.is_empty() && unlisted_ms == 0 {
        return String::new();
    }
    const HEADER: [&str; 7] = ["from", "to", "inside", "cause", "lost", "connection", "detail"];
    const RIGHT: [bool; 7] = [false, false, true, false, true, true, false];
    let cells = |one: &GapInside| {
        let gap = &one.gap;
        vec![
            time_text(gap.from_ms),
            gap.to_ms.map_or("lasts".to_owned(), time_text),
            format!("{} ms", one.inside_ms),
            gap.cause.as_str().to_owned(),
            gap.lost_records.to_string(),
            gap.connection.to_string(),
            gap.detail.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = gaps.iter().map(cells).collect();
    let mut text = String::from("\ngaps of the feed\n");
    if !rows.is_empty() {
        text += &indented(&table(&HEADER, &RIGHT, &rows));
    }
    if unlisted_ms > 0 {
        let _ = writeln!(
            text,
            "  {unlisted_ms} ms of the bar's gap stand in no stored gap: before the first \
             subscription of the symbol, or no longer kept"
        );
    }
    text
}

fn event_lines(events: &[StoredEvent]) -> String {
    if events.is_empty() {
        return String::new();
    }
    let cells = |stored: &StoredEvent| {
        let event = &stored.event;
        vec![
            time_text(event.at_us.div_euclid(1_000)),
            event.kind.as_str().to_owned(),
            event.connection.to_string(),
            event.detail.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = events.iter().map(cells).collect();
    let header = ["at", "event", "connection", "detail"];
    let right = [false, false, true, false];
    format!("\nevents of the feed\n{}", indented(&table(&header, &right, &rows)))
}

fn revision_lines(revisions: &[BarRevision]) -> String {
    if revisions.is_empty() {
        return String::new();
    }
    const HEADER: [&str; 12] = [
        "gen", "rev", "why", "open", "high", "low", "close", "volume", "count", "coverage", "gap",
        "verdict",
    ];
    let right: Vec<bool> = (0..HEADER.len()).map(|column| !matches!(column, 2 | 11)).collect();
    let rows: Vec<Vec<String>> = revisions.iter().map(revision_cells).collect();
    format!("\nwhat the bar was\n{}", indented(&table(&HEADER, &right, &rows)))
}

fn revision_cells(revision: &BarRevision) -> Vec<String> {
    let bar = &revision.bar;
    let mut cells = vec![
        bar.generation.to_string(),
        bar.revision.to_string(),
        revision.why.as_str().to_owned(),
    ];
    for point in [bar.open, bar.high, bar.low, bar.close] {
        cells.push(point.map_or("-".to_owned(), |point| point.price.to_string()));
    }
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    cells.extend([
        bar.volume.to_string(),
        bar.trade_count.to_string(),
        bar.coverage.map_or("-".to_owned(), share),
        format!("{} ms", bar.gap_ms),
        bar.verdict.as_str().to_owned(),
    ]);
    cells
}

fn plural(count: i64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
