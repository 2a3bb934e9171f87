//! The result: a table for people, and JSON with every single run for whoever compares two of them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::measure::Measured;

/// One case and its runs.
pub struct Row {
    pub name: String,
    pub runs: Vec<Measured>,
}

/// A figure that is no throughput: a percentile, a size, a time.
pub struct Figure {
    pub name: String,
    pub unit: &'static str,
    pub runs: Vec<f64>,
}

/// All of it.
#[derive(Default)]
pub struct Report {
    pub rows: Vec<Row>,
    pub figures: Vec<Figure>,
}

impl Report {
    /// A figure that is measured once, or whose median was taken already.
    pub fn figure(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        self.figures.push(Figure { name: name.into(), unit, runs: vec![value] });
    }

    /// Prints both tables.
    pub fn print(&self) {
        if !self.rows.is_empty() {
            println!(
                "\n| run | trades/s | CPU-s per million: ours | Kafka | Cassandra | peak MB |"
            );
            println!("|---|---|---|---|---|---|");
        }
        for row in &self.rows {
            let one = row.median();
            println!(
                "| {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} |",
                row.name,
                one.rate(),
                one.per_million(one.cpu_seconds),
                one.per_million(one.kafka_cpu_seconds),
                one.per_million(one.cassandra_cpu_seconds),
                one.peak_memory_mb
            );
        }
        if !self.figures.is_empty() {
            println!("\n| figure | median | unit |\n|---|---|---|");
        }
        for figure in &self.figures {
            println!("| {} | {} | {} |", figure.name, rounded(figure.median()), figure.unit);
        }
    }

    /// Writes it with every run.
    pub fn write(&self, path: &Path, about: Value) {
        let rows = self.rows.iter().map(|row| (row.name.clone(), row.to_json()));
        let figures = self.figures.iter().map(|figure| {
            let Figure { name, unit, runs } = figure;
            (name.clone(), json!({"unit": unit, "median": figure.median(), "runs": runs}))
        });
        let value = json!({
            "about": about,
            "throughput": Value::Object(rows.collect()),
            "figures": Value::Object(figures.collect()),
        });
        let text = serde_json::to_string_pretty(&value).expect("a JSON value");
        fs::write(path, text + "\n").unwrap_or_else(|problem| {
            panic!("{} cannot be written: {problem}", path.display());
        });
    }

    /// Prints what became of each median of an earlier result.
    pub fn compare(&self, path: &Path) {
        let text = fs::read_to_string(path)
            .unwrap_or_else(|problem| panic!("{} cannot be read: {problem}", path.display()));
        let before: Value = serde_json::from_str(&text)
            .unwrap_or_else(|problem| panic!("{} is no result: {problem}", path.display()));
        println!(
            "\n| compared with {} | before | now | ratio |\n|---|---|---|---|",
            path.display()
        );
        let line = |name: &str, before: Option<f64>, now: f64| {
            if let Some(before) = before.filter(|before| *before != 0.0) {
                let ratio = now / before;
                println!("| {name} | {} | {} | {ratio:.2} |", rounded(before), rounded(now));
            }
        };
        for row in &self.rows {
            let one = row.median();
            let earlier = &before["throughput"][&row.name]["median"];
            let cpu = one.per_million(one.cpu_seconds);
            line(&format!("{}, trades/s", row.name), earlier["rate"].as_f64(), one.rate());
            let earlier_cpu = earlier["cpu_seconds_per_million"].as_f64();
            line(&format!("{}, CPU-s per million", row.name), earlier_cpu, cpu);
        }
        for figure in &self.figures {
            let earlier = before["figures"][&figure.name]["median"].as_f64();
            line(&format!("{}, {}", figure.name, figure.unit), earlier, figure.median());
        }
    }
}

impl Row {
    /// Each column's own median, so that one odd run spoils none.
    pub fn median(&self) -> Measured {
        let of = |value: fn(&Measured) -> f64| median(self.runs.iter().map(value).collect());
        Measured {
            records: self.runs[0].records,
            wall_seconds: of(|run| run.wall_seconds),
            cpu_seconds: of(|run| run.cpu_seconds),
            kafka_cpu_seconds: of(|run| run.kafka_cpu_seconds),
            cassandra_cpu_seconds: of(|run| run.cassandra_cpu_seconds),
            peak_memory_mb: of(|run| run.peak_memory_mb),
        }
    }

    fn to_json(&self) -> Value {
        let runs: Vec<Value> = self.runs.iter().map(run_json).collect();
        json!({"median": run_json(&self.median()), "runs": runs})
    }
}

impl Figure {
    pub fn median(&self) -> f64 {
        median(self.runs.clone())
    }
}

fn run_json(run: &Measured) -> Value {
    json!({
        "records": run.records,
        "rate": run.rate(),
        "wall_seconds": run.wall_seconds,
        "cpu_seconds_per_million": run.per_million(run.cpu_seconds),
        "kafka_cpu_seconds_per_million": run.per_million(run.kafka_cpu_seconds),
        "cassandra_cpu_seconds_per_million": run.per_million(run.cassandra_cpu_seconds),
        "peak_memory_mb": run.peak_memory_mb,
    })
}

/// Of two in the middle, the upper one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Three digits that mean something.
fn rounded(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
