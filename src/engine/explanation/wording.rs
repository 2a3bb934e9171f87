//! The sentences of an explanation.

use crate::model::{
    Agreement, Bar, BarState, Conditions, Exclusion, GapInside, Judged, LateWindow, PricePoint,
    Session, Verdict,
};

use super::super::conditions::{Eligibility, Last, Policy};
use super::super::symbol_class::SymbolClass;
use super::tally::{Seen, Tally};
use super::{Question, Reading};

/// `37.0 s`.
fn seconds(ms: i64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// `300 s`: windows are whole seconds long.
fn length(bar: &Bar) -> String {
    format!("{} s", (bar.window.end_ms - bar.window.start_ms) / 1_000)
}

fn plural(count: i64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

pub(super) fn point(point: Option<PricePoint>) -> String {
    point.map_or_else(
        || "none".to_owned(),
        |point| format!("{} (connection {}, seq {})", point.price, point.connection, point.seq),
    )
}

pub(super) fn exclusion(what: Exclusion) -> String {
    format!("{} in {}", what.volume, plural(what.count, "trade"))
}

/// How complete the feed was.
pub(super) fn completeness(bar: &Bar) -> String {
    let (length, length_ms) = (length(bar), bar.window.end_ms - bar.window.start_ms);
    let up_ms = bar.coverage.map(|share| (share * length_ms as f64).round() as i64);
    let open_ms = up_ms.map_or(0, |up_ms| (length_ms - up_ms - bar.gap_ms).max(0));
    match bar.verdict {
        _ if bar.state == BarState::Provisional && up_ms.is_some() => {
            let so_far = match bar.gap_ms {
                0 => "no gap".to_owned(),
                gap_ms => format!("the feed was away for {}", seconds(gap_ms)),
            };
            format!("{} so far: {so_far}, and the window is open", bar.verdict.as_str())
        }
        Verdict::Complete => format!("complete: the feed was confirmed for all of {length}"),
        Verdict::Partial if bar.gap_ms > 0 => {
            let away = format!("partial: the feed was away for {}", seconds(bar.gap_ms));
            if open_ms == 0 {
                return format!("{away} of {length}");
            }
            format!("{away} of {length}, and {} are not confirmed", seconds(open_ms))
        }
        Verdict::Partial => {
            "partial: the feed was up, and lost at least one record that could not be read"
                .to_owned()
        }
        Verdict::Unknown if up_ms.is_none() => {
            "unknown: no subscription of the symbol is known that reaches the window".to_owned()
        }
        Verdict::Unknown => {
            format!("unknown: {} of {length} are not confirmed", seconds(open_ms))
        }
    }
}

/// What is known of a window without a bar.
pub(super) fn no_bar(merged: usize, late: usize, gaps: &[GapInside]) -> String {
    let away_ms: i64 = gaps.iter().map(|one| one.inside_ms).sum();
    let (merged, late) = (merged as i64, late as i64);
    let feed = match gaps {
        [] => "no gap of the feed is stored for it".to_owned(),
        _ => format!("the feed was away for {} of it", seconds(away_ms)),
    };
    match (merged, late) {
        (0, 0) => format!("no trade of the window is stored, and {feed}"),
        (0, late) => format!("stored of the window: only {}; {feed}", plural(late, "late trade")),
        (merged, _) => format!(
            "stored of the window: {}, but no bar: it was not written yet, is older than its \
             table keeps, was removed, or none of them counts; {feed}",
            plural(merged, "trade")
        ),
    }
}

/// Whether the bar follows from its trades, and what to do when it does not.
pub(super) fn agreement(
    question: &Question,
    agreement: &Agreement,
    bar: Option<&Bar>,
    tally: &Tally,
    reading: Reading,
) -> String {
    let (stored, counted) = (tally.total.trade_count, bar.map_or(0, |bar| bar.trade_count));
    match agreement {
        Agreement::NoBar => "no bar is stored for this window".to_owned(),
        Agreement::Sample => "the window is open: its row is a sample of about a second ago, and \
             what follows is of the trades stored by now"
            .to_owned(),
        Agreement::Follows => format!(
            "the bar follows from the {} stored: prices, volume, vwap and counts are equal",
            plural(stored, "trade")
        ),
        Agreement::TradesGone => format!(
            "the trades are no longer all stored: the bar counts {counted}, silver still has \
             {stored}"
        ),
        Agreement::Differs(_) => {
            let audit = audit(question);
            let judged_by = bar.map_or(0, |bar| bar.conditions_version);
            let known = reading.conditions.version();
            let rules = if judged_by == known {
                String::new()
            } else {
                format!(", which was judged by sale conditions version {judged_by}, not {known}")
            };
            let unusable = match tally.unusable {
                0 => String::new(),
                count => {
                    format!(" ({} cannot be what was merged)", plural(count, "stored trade"))
                }
            };
            format!(
                "the stored bar{rules} does not follow from the stored trades{unusable}: run \
                 `{audit}`"
            )
        }
    }
}

fn audit(question: &Question) -> String {
    let window = question.window;
    let (from, to) = (window.start_ms / 1_000, window.end_ms / 1_000);
    format!("ticksmith audit --symbol {} --from {from} --to {to}", question.symbol)
}

/// Why this trade set the price.
pub(super) fn setter(
    name: &str,
    seen: Option<&Seen>,
    is_same: bool,
    tally: &Tally,
    reading: Reading,
) -> String {
    let Some(seen) = seen else { return "the trade is no longer stored".to_owned() };
    if !is_same {
        let other = if seen.eligibility.volume { "sets another" } else { "counts for nothing" };
        return format!("by the stored trades it {other}: the bar does not follow from them");
    }
    let price = seen.judged.trade.price;
    match (name, seen.eligibility.last) {
        ("high", _) => extreme("highest", tally, price),
        ("low", _) => extreme("lowest", tally, price),
        (_, Last::OnlyIfNone) => {
            let codes = reading.codes_against(seen, |alone| alone.last == Last::OnlyIfNone);
            format!(
                "conditional ({}): no other trade could set {name}; {} of {}",
                named(&codes, reading),
                place(name),
                plural(tally.conditional, "such trade")
            )
        }
        _ => {
            let place = place(name);
            format!("sets {name} by full right, {place} of {} eligible", tally.full)
        }
    }
}

fn place(name: &str) -> &'static str {
    if name == "open" { "the first" } else { "the last" }
}

fn extreme(what: &str, tally: &Tally, price: f64) -> String {
    let tie = match tally.at_price(price) {
        0 | 1 => String::new(),
        count => format!(", the first of {count} at this price"),
    };
    format!("the {what} of {} eligible{tie}", tally.high_low)
}

/// What a trade may do, and what keeps it from more.
pub(super) fn trade(seen: &Seen, reading: Reading) -> String {
    let eligibility = seen.eligibility;
    if !eligibility.volume {
        let codes = reading.codes_against(seen, |alone| !alone.volume);
        return format!("counts for nothing: {}", named(&codes, reading));
    }
    if reading.class == SymbolClass::UsStock && seen.volume.is_zero() {
        return "sets no price: volume 0 means nothing on the tape".to_owned();
    }
    let right = match (eligibility.last, eligibility.high_low) {
        (Last::Yes, true) => return full_right(seen, reading),
        (Last::OnlyIfNone, _) => "sets open and close only when no other trade may",
        (Last::Yes, false) => "sets open and close, no high or low",
        (Last::No, true) => "sets high and low, no open or close",
        (Last::No, false) => "adds volume and sets no price",
    };
    let limits = |alone: Eligibility| alone.last != Last::Yes || !alone.high_low;
    let codes = reading.codes_against(seen, limits);
    let hours = if is_form_t_inside(seen, &codes) { " in regular hours" } else { "" };
    format!("{right}: {}{hours}", named(&codes, reading))
}

fn full_right(seen: &Seen, reading: Reading) -> String {
    match reading.policy {
        Policy::All => "may set every price: the policy lets every trade".to_owned(),
        _ if seen.judged.trade.conditions.as_ref().is_none_or(Conditions::is_empty) => {
            "may set every price: no code keeps it from it".to_owned()
        }
        _ => "may set every price: each of its codes may".to_owned(),
    }
}

/// The one rule that depends on the hour.
fn is_form_t_inside(seen: &Seen, codes: &[&str]) -> bool {
    seen.session == Session::Regular && codes.contains(&"24")
}

fn named(codes: &[&str], reading: Reading) -> String {
    let words: Vec<String> = codes
        .iter()
        .map(|code| match reading.conditions.name(code) {
            Some(name) => format!("code {code}, {}", lower_first(name)),
            None => format!("code {code}, which the table does not know"),
        })
        .collect();
    words.join("; ")
}

/// `Form T` stays as it is, `Odd lot` becomes `odd lot`.
fn lower_first(name: &str) -> String {
    let is_name = name.starts_with("Form ") || name.starts_with("Rule ");
    match name.chars().next() {
        Some(first) if !is_name => {
            format!("{}{}", first.to_lowercase(), &name[first.len_utf8()..])
        }
        _ => name.to_owned(),
    }
}

/// How late, and what its window was then.
pub(super) fn late(judged: &Judged) -> String {
    let Some(lateness) = judged.lateness else { return "late".to_owned() };
    let window = match lateness.window {
        LateWindow::Open => "its window was open",
        LateWindow::Closed => "its window was closed and still kept",
        LateWindow::Gone => "its window was no longer kept",
    };
    format!("{} behind the watermark; {window}", seconds(lateness.late_by_ms))
}
