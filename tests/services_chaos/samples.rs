//! Memory and lag over a long run, as a file of samples and as a table of what they come to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use crate::run::{Fault, Run};

/// The group has caught up when it lags by no more than so many seconds of the feed.
const CAUGHT_UP_S: f64 = 2.0;

struct Sample {
    at_s: f64,
    /// By role and pid, MiB.
    memory: BTreeMap<(&'static str, u32), f64>,
    /// Records; `None` while Kafka is away.
    lag: Option<i64>,
}

pub struct Samples {
    began: Instant,
    all: Vec<Sample>,
    faults: Vec<(f64, Fault)>,
    /// `TICKSMITH_SOAK_CSV`, written as the samples come, so that a long run can be followed.
    csv: Option<File>,
}

impl Default for Samples {
    fn default() -> Self {
        let path = std::env::var("TICKSMITH_SOAK_CSV").ok();
        let csv = path.map(|path| {
            say!("soak: samples in {path}");
            let mut file = File::create(&path).expect("the file of samples can be made");
            file.write_all(b"at_s,what,pid,value\n").expect("it takes its head");
            file
        });
        Self { began: Instant::now(), all: Vec::new(), faults: Vec::new(), csv }
    }
}

impl Samples {
    pub fn take(&mut self, run: &Run) {
        let at_s = self.began.elapsed().as_secs_f64();
        let memory = run.processes().into_iter();
        let memory = memory.filter_map(|(role, pid)| Some(((role, pid), resident_mib(pid)?)));
        let sample = Sample { at_s, memory: memory.collect(), lag: run.lag() };
        for ((role, pid), mib) in &sample.memory {
            self.write(&format!("{at_s:.1},memory_mib_{role},{pid},{mib:.1}"));
        }
        if let Some(lag) = sample.lag {
            self.write(&format!("{at_s:.1},lag_records,,{lag}"));
        }
        self.all.push(sample);
    }

    pub fn fault(&mut self, fault: Fault) {
        let at_s = self.began.elapsed().as_secs_f64();
        self.write(&format!("{at_s:.1},\"{}\",,", fault.as_str()));
        self.faults.push((at_s, fault));
    }

    fn write(&mut self, line: &str) {
        if let Some(csv) = &mut self.csv {
            writeln!(csv, "{line}").expect("the file of samples takes a line");
        }
    }

    /// Prints the table.
    pub fn tell(&self, rate: f64) {
        let lags: Vec<i64> = self.all.iter().filter_map(|sample| sample.lag).collect();
        let recoveries = self.recoveries(rate);
        let longest = recoveries.iter().copied().fold(0.0, f64::max);
        let mean = recoveries.iter().sum::<f64>() / recoveries.len().max(1) as f64;
        say!("\n| soak | first third | last third |\n|---|---|---|");
        for (name, role, pid) in self.oldest() {
            let (first, last) = (self.third(0, role, pid), self.third(2, role, pid));
            say!("| memory of {name}, MiB, mean | {first:.0} | {last:.0} |");
        }
        say!("\n| soak | |\n|---|---|");
        say!("| faults | {} |", self.faults.len());
        say!("| largest lag, seconds of the feed | {:.1} |", most(&lags) as f64 / rate);
        say!("| until caught up after a fault, s, mean | {mean:.1} |");
        say!("| until caught up after a fault, s, longest | {longest:.1} |");
    }

    /// The processes that lived through all of it.
    fn oldest(&self) -> Vec<(String, &'static str, u32)> {
        let (Some(first), Some(last)) = (self.all.first(), self.all.iter().rev().nth(1)) else {
            return Vec::new();
        };
        let both = first.memory.keys().filter(|key| last.memory.contains_key(key));
        both.map(|(role, pid)| (format!("a {role} process"), *role, *pid)).collect()
    }

    fn third(&self, third: usize, role: &'static str, pid: u32) -> f64 {
        let length = self.all.len().div_ceil(3).max(1);
        let samples = self.all.chunks(length).nth(third).unwrap_or(&[]);
        let of: Vec<f64> =
            samples.iter().filter_map(|sample| sample.memory.get(&(role, pid)).copied()).collect();
        of.iter().sum::<f64>() / of.len().max(1) as f64
    }

    /// From each fault to the first sample without a lag worth the name, s.
    fn recoveries(&self, rate: f64) -> Vec<f64> {
        let is_caught_up =
            |sample: &&Sample| sample.lag.is_some_and(|lag| lag as f64 <= CAUGHT_UP_S * rate);
        let recovery = |(at_s, _): &(f64, Fault)| {
            let mut later = self.all.iter().filter(|sample| sample.at_s > *at_s);
            Some(later.find(is_caught_up)?.at_s - at_s)
        };
        self.faults.iter().filter_map(recovery).collect()
    }
}

fn most(lags: &[i64]) -> i64 {
    lags.iter().copied().max().unwrap_or(0)
}

/// `VmRSS` of a process.
fn resident_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
