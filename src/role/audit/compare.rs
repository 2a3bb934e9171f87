//! Recomputed bars against stored ones, field by field: every window that is found unequal is named
//! with both values, and a digest of both sides stands for all of them.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::engine::recompute::BarKey;
use crate::error::Result;
use crate::model::{Bar, ExclusionReason, PricePoint, Session};
use crate::role::range_query::time_text;

use super::walk::Stop;

/// Kept of the differences; the counts tell the rest.
const DIFFERENCES_KEPT: usize = 10_000;
/// Names what is not compared: it follows from the table that the program has, not from the log.
const VERSION: &str = "conditions_version";

/// What the comparison came to, in bars.
#[derive(Default)]
pub struct Comparison {
    pub compared: u64,
    pub equal: u64,
    pub differing: u64,
    /// Recomputed, and not stored.
    pub missing: u64,
    /// Stored, and nothing in bronze supports it.
    pub extra: u64,
    /// Not closed yet, or being corrected while this ran: not compared.
    pub open: u64,
    /// With trades beyond the allowed lateness.
    pub late_included: u64,
    /// Versions of the condition table of stored bars that another version judges now.
    pub other_versions: BTreeSet<i32>,
    pub differences: Vec<Difference>,
    gold: Sha256,
    recomputed: Sha256,
}

/// One field of one bar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub symbol: String,
    pub interval: String,
    pub start: String,
    /// `mismatched`, `missing` or `extra`.
    pub kind: &'static str,
    pub field: String,
    pub gold: Option<String>,
    pub recomputed: Option<String>,
}

impl Comparison {
    /// Takes one slice of one partition in.
    ///
    /// # Errors
    /// The store's own.
    pub fn add(&mut self, stop: &Stop<'_>) -> Result<()> {
        let keys: BTreeSet<&BarKey> = stop.gold.keys().chain(stop.recomputed.keys()).collect();
        for key in keys.into_iter().filter(|key| key.2 >= stop.auditable_from_ms) {
            match (stop.gold.get(key), stop.recomputed.get(key)) {
                (gold, recomputed) if is_moving(stop, key, gold, recomputed)? => self.open += 1,
                (Some(gold), Some(recomputed)) => self.pair(stop, key, gold, recomputed),
                (None, Some(recomputed)) => self.missing(key, recomputed),
                (Some(gold), None) => self.extra(key, gold),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Bars that are not as they should be.
    pub fn unequal(&self) -> u64 {
        self.differing + self.missing + self.extra
    }

    /// SHA-256 of the canonical text of the compared bars: stored, recomputed.
    pub fn digests(&self) -> (String, String) {
        (hex(self.gold.clone()), hex(self.recomputed.clone()))
    }

    fn pair(&mut self, stop: &Stop<'_>, key: &BarKey, gold: &Bar, recomputed: &Bar) {
        self.compared += 1;
        self.late_included += u64::from(gold.late_included > 0);
        if gold.conditions_version != recomputed.conditions_version {
            self.other_versions.insert(gold.conditions_version);
        }
        let expected = cells(recomputed);
        digest(&mut self.gold, key, &cells(gold));
        digest(&mut self.recomputed, key, &expected);
        let mut is_equal = true;
        for (field, gold, recomputed) in unequal_fields(gold, recomputed) {
            if field != VERSION {
                is_equal = false;
                self.name(key, "mismatched", &field, Some(&gold), Some(&recomputed));
            }
        }
        for (_, twin) in stop.contradictions.iter().filter(|(place, _)| place == key) {
            is_equal = false;
            let exact = expected.iter().find(|(field, _)| *field == twin.column);
            let (value, text) = (text(twin.value), text(twin.exact.as_deref()));
            let said = format!("{value} beside {}_exact {text}", twin.column);
            self.gold.update(&said);
            let exact = exact.map(|(_, text)| text.as_str());
            self.name(key, "mismatched", &twin.column, Some(&said), exact);
        }
        if is_equal {
            self.equal += 1;
        } else {
            self.differing += 1;
        }
    }

    fn missing(&mut self, key: &BarKey, recomputed: &Bar) {
        self.missing += 1;
        digest(&mut self.recomputed, key, &cells(recomputed));
        self.name(key, "missing", "bar", None, Some(&brief(recomputed)));
    }

    fn extra(&mut self, key: &BarKey, gold: &Bar) {
        self.extra += 1;
        digest(&mut self.gold, key, &cells(gold));
        self.name(key, "extra", "bar", Some(&brief(gold)), None);
    }

    fn name(
        &mut self,
        key: &BarKey,
        kind: &'static str,
        field: &str,
        gold: Option<&str>,
        recomputed: Option<&str>,
    ) {
        if self.differences.len() < DIFFERENCES_KEPT {
            self.differences.push(Difference {
                symbol: key.0.to_string(),
                interval: key.1.to_string(),
                start: time_text(key.2),
                kind,
                field: field.to_owned(),
                gold: gold.map(str::to_owned),
                recomputed: recomputed.map(str::to_owned),
            });
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (gold, recomputed) = (self.gold.as_deref(), self.recomputed.as_deref());
        write!(
            f,
            "{} {} {} {}: gold {}, recomputed {}",
            self.symbol,
            self.interval,
            self.start,
            self.field,
            gold.unwrap_or("has none"),
            recomputed.unwrap_or("none")
        )
    }
}

/// The stream may still be at it: the window is not closed, or it is within the lateness and gold
/// is at another revision than the log was a moment ago. A bar without any trade is not its own.
fn is_moving(
    stop: &Stop<'_>,
    key: &BarKey,
    gold: Option<&Bar>,
    recomputed: Option<&Bar>,
) -> Result<bool> {
    if stop.is_settled(key) {
        return Ok(false);
    }
    match (gold, recomputed) {
        (Some(_), None) => stop.has_trades(key),
        (Some(gold), Some(recomputed)) => {
            Ok(stop.is_open(key) || gold.revision != recomputed.revision)
        }
        _ => Ok(stop.is_open(key)),
    }
}

/// The columns in which two bars differ, with both values; the generation may differ.
pub fn unequal_fields(gold: &Bar, recomputed: &Bar) -> Vec<(String, String, String)> {
    let pairs = cells(gold).into_iter().zip(cells(recomputed));
    pairs
        .filter(|(gold, recomputed)| gold != recomputed)
        .map(|((field, gold), (_, recomputed))| (field, gold, recomputed))
        .collect()
}

/// A bar in a clause.
pub fn brief(bar: &Bar) -> String {
    let price = |point: Option<PricePoint>| text(point.map(|point| point.price));
    format!(
        "open {} high {} low {} close {} volume {} count {} {} revision {}",
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        bar.volume,
        bar.trade_count,
        bar.state.as_str(),
        bar.revision
    )
}

/// Every column of a bar but its key and its generation, as text.
fn cells(bar: &Bar) -> Vec<(String, String)> {
    let mut cells = vec![("window_end".to_owned(), time_text(bar.window.end_ms))];
    let points = [("open", bar.open), ("high", bar.high), ("low", bar.low), ("close", bar.close)];
    for (name, point) in points {
        cells.push((name.to_owned(), text(point.map(|at| at.price))));
        cells.push((format!("{name}_time"), text(point.map(|at| time_text(at.trade_time_ms)))));
        cells.push((format!("{name}_connection"), text(point.map(|at| at.connection))));
        cells.push((format!("{name}_seq"), text(point.map(|at| at.seq))));
    }
    for (reason, excluded) in ExclusionReason::ALL.iter().zip(bar.excluded) {
        let reason = reason.as_str();
        cells.push((format!("excluded_{reason}_volume"), excluded.volume.to_string()));
        cells.push((format!("excluded_{reason}_count"), excluded.count.to_string()));
    }
    let rest = [
        ("volume", bar.volume.to_string()),
        ("vwap", text(bar.vwap)),
        ("trade_count", bar.trade_count.to_string()),
        ("session", text(bar.session.map(Session::as_str))),
        ("coverage", text(bar.coverage)),
        ("gap_ms", bar.gap_ms.to_string()),
        ("verdict", bar.verdict.as_str().to_owned()),
        ("state", bar.state.as_str().to_owned()),
        ("revision", bar.revision.to_string()),
        ("late_included", bar.late_included.to_string()),
        (VERSION, bar.conditions_version.to_string()),
    ];
    cells.extend(rest.map(|(name, value)| (name.to_owned(), value)));
    cells
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn digest(side: &mut Sha256, key: &BarKey, cells: &[(String, String)]) {
    side.update(format!("{} {} {}", key.0, key.1, key.2));
    for (name, value) in cells.iter().filter(|(name, _)| name != VERSION) {
        side.update(format!(" {name}={value}"));
    }
    side.update("\n");
}

fn hex(side: Sha256) -> String {
    side.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
