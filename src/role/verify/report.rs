//! What `verify` prints, for people and as JSON.

use super::causes::Finding;
use super::compare::Comparison;
use super::replay::Replayed;
use crate::codec::csv::{COLUMNS, ExpectedBars};
use crate::model::{Amount, Interval};

/// Everything that is reported.
#[derive(Debug)]
pub(super) struct Report {
    pub interval: Interval,
    /// As given, `auto` by default.
    pub policy: String,
    pub drop_repeats: bool,
    pub expected: ExpectedBars,
    pub replayed: Replayed,
    pub comparison: Comparison,
    /// `None`: the frames cannot be read a second time.
    pub causes: Option<Vec<Finding>>,
}

impl Report {
    /// The columns that the file does not have.
    fn columns_not_compared(&self) -> Vec<&'static str> {
        let columns = COLUMNS[1..].iter().zip(self.expected.has);
        columns.filter(|(_, has)| !has).map(|(column, _)| *column).collect()
    }

    pub fn text(&self) -> String {
        let Replayed { symbol, counts, tally, .. } = &self.replayed;
        let comparison = &self.comparison;
        let rows = self.expected.rows.len() - comparison.empty_windows;
        let mut lines = vec![
            format!("{symbol} {}, policy {}", self.interval, self.policy),
            format!("matched        {} of {rows}", comparison.matched),
            format!("mismatched     {}", comparison.mismatched),
            format!("missing        {}", comparison.missing),
            format!("extra          {}", comparison.extra),
            format!("outside span   {}", comparison.outside_span),
            format!("frames         {} ({} trades)", counts.frames, self.replayed.trades),
            format!("late           {}", tally.late),
            format!("rejected       {}", tally.rejected),
            format!(
                "malformed      {} lines, {} elements",
                counts.malformed_frames, counts.malformed_elements
            ),
            format!("repeats        {}", self.repeats()),
            format!("second coding  {} trades dropped", counts.second_encodings),
        ];
        let not_compared = self.columns_not_compared();
        if !not_compared.is_empty() {
            lines.push(format!("not compared   {}", not_compared.join(", ")));
        }
        if comparison.empty_windows > 0 {
            lines.push(format!("empty windows  {}", comparison.empty_windows));
        }
        self.write_causes(&mut lines);
        self.write_differences(&mut lines);
        lines.push(String::new());
        lines.join("\n")
    }

    fn repeats(&self) -> String {
        let counts = &self.replayed.counts;
        if self.drop_repeats {
            let (frames, trades) = (counts.repeats_dropped, counts.repeated_elements_dropped);
            return format!("{frames} frames dropped, {trades} trades");
        }
        match counts.repeats_kept {
            0 => "0 frames".to_owned(),
            kept => format!("{kept} frames delivered; --drop-repeats would drop them"),
        }
    }

    fn write_causes(&self, lines: &mut Vec<String>) {
        let Some(causes) = &self.causes else {
            lines.push("causes: unknown, the frames cannot be read twice; give a file".to_owned());
            return;
        };
        if !causes.is_empty() {
            lines.push("causes (windows):".to_owned());
        }
        for finding in causes {
            lines.push(format!("  {:>6}  {}", finding.windows, finding.cause.describe()));
            if let Some((expected, got)) = volumes_that_differ(finding) {
                lines.push(format!("          volume {expected} expected, {got} got"));
            }
            for (remedy, windows) in &finding.remedies {
                lines.push(format!("          {windows} {}", remedy.describe()));
            }
        }
    }

    fn write_differences(&self, lines: &mut Vec<String>) {
        let differences = self.comparison.first_differences();
        if !differences.is_empty() {
            lines.push("first differences (window, field, expected, got):".to_owned());
        }
        for difference in &differences {
            lines.push(format!(
                "  {}  {:<10} {:<6} {} {}",
                difference.window_start_epoch_s,
                difference.kind,
                difference.field,
                difference.expected.as_deref().unwrap_or("-"),
                difference.got.as_deref().unwrap_or("-"),
            ));
        }
    }

    pub fn json(&self) -> String {
        let counts = &self.replayed.counts;
        let comparison = &self.comparison;
        let causes: Option<Vec<_>> =
            self.causes.as_ref().map(|causes| causes.iter().map(cause_json).collect());
        let report = serde_json::json!({
            "symbol": self.replayed.symbol,
            "matched": comparison.matched,
            "mismatched": comparison.mismatched,
            "missing": comparison.missing,
            "extra": comparison.extra,
            "outside_span": comparison.outside_span,
            "empty_windows": comparison.empty_windows,
            "frames": counts.frames,
            "trades": self.replayed.trades,
            "late": self.replayed.tally.late,
            "rejected": self.replayed.tally.rejected,
            "malformed": counts.malformed_frames + counts.malformed_elements,
            "malformed_frames": counts.malformed_frames,
            "malformed_elements": counts.malformed_elements,
            "repeated_frames_dropped": counts.repeats_dropped,
            "repeated_frames_kept": counts.repeats_kept,
            "second_encodings_dropped": counts.second_encodings,
            "columns_not_compared": self.columns_not_compared(),
            "causes": causes,
            "first_differences": comparison.first_differences(),
        });
        format!("{report:#}\n")
    }
}

fn volumes_that_differ(finding: &Finding) -> Option<(Amount, Amount)> {
    finding.volumes.filter(|(expected, got)| expected != got)
}

fn cause_json(finding: &Finding) -> serde_json::Value {
    let explained: serde_json::Map<String, serde_json::Value> = finding
        .remedies
        .iter()
        .map(|(remedy, windows)| (remedy.name(), (*windows).into()))
        .collect();
    let volumes = volumes_that_differ(finding);
    serde_json::json!({
        "cause": finding.cause.as_str(),
        "windows": finding.windows,
        "first_window_start_epoch_s": finding.first_start_ms.div_euclid(1_000),
        "volume_expected": volumes.map(|(expected, _)| expected.to_string()),
        "volume_got": volumes.map(|(_, got)| got.to_string()),
        "explained_by": explained,
    })
}
