//! `ticksmith doctor`: checks a setup from end to end, and says what is wrong and how to mend it.
//! It changes nothing.

mod check;
mod feed;
mod log;
mod machine;
mod store;

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::{duration, range_query};
use crate::config::Config;
use crate::error::{Error, Result};
use check::{Finding, Report};

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Connect to the feed with the key even when it cannot be known that no producer uses it
    #[arg(long)]
    connect: bool,
    /// What has not answered after this has failed
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    within: Duration,
    /// Print one object for programs
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Key, feed and its clock; brokers, topics, consumer group and its lag; schema registry; Cassandra,
its tables and its clock; the disk of the spool; the ports. All are asked at the same time, and each
line is `ok`, `warn`, `fail` or `skip`, with the remedy. Nothing is created or written.

Finnhub allows one connection a key, and a second one costs both theirs. So the key is tried only
when Kafka says that no producer holds its lease; --connect tries it all the same.

Examples:
  ticksmith doctor
  ticksmith doctor --json | jq -r '.checks[] | select(.outcome == \"fail\") | .text'
  ticksmith smoke-test                         the next question: do trades come through?

Exit codes:
  0 no check failed; warnings are no failures   1 a check failed: it is named, with the remedy
  2 wrong arguments or configuration   3 a check failed because something does not answer";

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, _config: &mut Config) {}
}

/// Checks that belong together, one after the other on a thread of their own.
struct Job {
    /// In the order in which they are told; each gets one finding.
    checks: &'static [&'static str],
    run: fn(&Patient, &mut Tell<'_>),
}

/// Takes the finding of one check.
type Tell<'a> = dyn FnMut(Finding) + 'a;

/// What is looked at.
#[derive(Clone)]
struct Patient {
    config: Config,
    /// `--connect`.
    may_connect: bool,
}

static JOBS: [Job; 5] = [
    Job { checks: &feed::CHECKS, run: feed::check },
    Job { checks: &log::CHECKS, run: log::check },
    Job { checks: &log::REGISTRY, run: log::check_registry },
    Job { checks: &store::CHECKS, run: store::check },
    Job { checks: &machine::CHECKS, run: machine::check },
];

/// Runs the command to its end.
///
/// # Errors
/// `Differences` when a check failed, `Unavailable` when one failed because something is away.
pub fn run(args: Args, config: Config) -> Result<()> {
    let patient = Patient { config, may_connect: args.connect };
    let findings = start(&patient, &JOBS)?;
    let mut report = Report::new(args.json);
    let mut waiting =
        Waiting { findings, known: HashMap::new(), until: Instant::now() + args.within };
    for check in JOBS.iter().flat_map(|job| job.checks) {
        report.add(waiting.take(check, args.within))?;
    }
    range_query::print(report.ending().as_bytes())?;
    report.verdict()
}

/// The threads are left alone when the time is over: they end with the process.
fn start(patient: &Patient, jobs: &'static [Job]) -> Result<Receiver<Finding>> {
    let (sender, findings) = mpsc::channel();
    for job in jobs {
        let (sender, patient): (Sender<Finding>, Patient) = (sender.clone(), patient.clone());
        let work = move || {
            let began = Instant::now();
            // Nobody listens any more when the time is over.
            (job.run)(&patient, &mut |finding| drop(sender.send(finding.after(began.elapsed()))));
        };
        std::thread::Builder::new()
            .name(job.checks[0].replace(' ', "-"))
            .spawn(work)
            .map_err(|error| Error::Unavailable(format!("no thread for a check: {error}")))?;
    }
    Ok(findings)
}

/// Findings that came before it was their turn.
struct Waiting {
    findings: Receiver<Finding>,
    known: HashMap<&'static str, Finding>,
    until: Instant,
}

impl Waiting {
    fn take(&mut self, check: &'static str, within: Duration) -> Finding {
        loop {
            if let Some(finding) = self.known.remove(check) {
                return finding;
            }
            let left = self.until.saturating_duration_since(Instant::now());
            match self.findings.recv_timeout(left) {
                Ok(finding) => drop(self.known.insert(finding.check, finding)),
                Err(RecvTimeoutError::Timeout) => {
                    let after = format!("no answer within {} s", within.as_secs());
                    return Finding::absent(check, format!("{after}; --within waits longer"));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Finding::fail(check, "the check ended without a finding: a bug");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: [&str; 2] = ["quick", "second"];
    const HANGING: [&str; 1] = ["hanging"];
    const DEAD: [&str; 1] = ["dead"];

    fn findings(jobs: &'static [Job], checks: &[&'static str]) -> Vec<Finding> {
        let patient = Patient { config: Config::defaults(), may_connect: false };
        let within = Duration::from_millis(200);
        let findings = start(&patient, jobs).expect("threads");
        let mut waiting =
            Waiting { findings, known: HashMap::new(), until: Instant::now() + within };
        checks.iter().map(|check| waiting.take(check, within)).collect()
    }

    #[test]
    fn what_hangs_has_failed_and_the_rest_is_told() {
        fn hang(_: &Patient, _: &mut Tell<'_>) {
            loop {
                std::thread::park();
            }
        }
        fn answer(_: &Patient, tell: &mut Tell<'_>) {
            // Told in another order than asked for.
            QUICK.iter().rev().for_each(|check| tell(Finding::ok(check, "well")));
        }
        static JOBS: [Job; 2] =
            [Job { checks: &HANGING, run: hang }, Job { checks: &QUICK, run: answer }];
        let found = findings(&JOBS, &["hanging", "quick", "second"]);
        assert!(found[0].text.contains("no answer within 0 s") && found[0].is_failure());
        assert!(found[1..].iter().all(|one| one.text == "well" && !one.is_failure()), "{found:?}");
    }

    #[test]
    fn a_check_that_ends_without_a_word_has_failed() {
        static JOBS: [Job; 1] = [Job { checks: &DEAD, run: |_, _| {} }];
        assert!(findings(&JOBS, &["dead"])[0].text.contains("a bug"));
    }

    #[test]
    fn no_two_checks_have_one_name() {
        let mut names: Vec<&str> = JOBS.iter().flat_map(|job| job.checks).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| name.len() <= check::NAME_WIDTH), "{names:?}");
    }
}
