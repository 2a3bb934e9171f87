//! `ticksmith smoke-test`: sends a few trades of a symbol of its own through the running system,
//! and finds them in every table and in the HTTP API.

mod evidence;
mod look;
mod report;
mod sample;

use std::sync::Arc;
use std::time::Duration;

use super::duration;
use super::range_query::{self, open_reader};
use super::status::{self, own_address};
use crate::config::{Config, StoreKind};
use crate::error::{Error, Result};
use crate::http::probe;
use crate::kafka::KafkaPublisher;
use crate::model::partition_for_key;
use crate::port::{Clock, Published, Publisher, StoreReader};
use crate::registry;
use crate::runtime::SystemClock;
use crate::websocket::ConnectionIds;
use look::Look;
use report::{Outcome, Report, Step};
use sample::{SYMBOL, Sample};

/// An answer of a broker that was there a moment ago.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// Rows appear with the beat; looking more often would only load the store.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Give up after this, for example 30s or 2m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    within: Duration,
    /// Ask this HTTP API; without it the one at http.bind and http.port, if it is there
    #[arg(long, value_name = "http://HOST:PORT", value_parser = probe::check_address)]
    api: Option<String>,
    /// Print one object for programs
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Five trades of SMOKE:TEST go to the trades topic. The running `ticksmith stream` has to bring them
to trades_bronze and trades_silver, and into a bar of each interval; what the bar must be is
reckoned from silver. The HTTP API has to show the same. The feed does not notice: the trades move
no watermark, and say nothing of completeness (coverage null, verdict unknown). The rows stay as
long as those of any symbol. Every few minutes is often enough.

Examples:
  ticksmith smoke-test
  ticksmith smoke-test --within 2m --api http://dashboard:8501
  python3 scripts/smoke_test.py -v             the same, also where ticksmith runs in Docker

Exit codes:
  0 all was found   1 something was not found, or is not what was sent
  2 wrong arguments, or a topic or a table is missing   3 Kafka or Cassandra does not answer";

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, _config: &mut Config) {}
}

/// Runs the command to its end.
///
/// # Errors
/// `Differences` naming what was not found and why; `Unavailable` and `Config` before anything is
/// sent.
pub fn run(args: Args, config: Config) -> Result<()> {
    if config.stream.store == StoreKind::None {
        return Err(Error::Config(
            "stream.store = none keeps no tables to find trades in; set it to cassandra".into(),
        ));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut publisher = KafkaPublisher::connect(&config, clock.clone())?;
    let reader = open_reader(None, &config)?;
    let mut test = SmokeTest {
        sample: sample(clock.as_ref(), &config),
        began_us: clock.monotonic_us(),
        within: args.within,
        reader,
        report: Report::new(args.json),
        config,
        clock,
    };
    test.send(&mut publisher)?;
    test.find_trades()?;
    test.find_bars()?;
    test.ask_api(args.api.as_deref())?;
    test.finish()
}

fn sample(clock: &dyn Clock, config: &Config) -> Sample {
    let now_us = clock.now_us();
    let ids = ConnectionIds::new(rand::random());
    let intervals = config.stream.parsed_intervals();
    let shortest = intervals.into_iter().min().expect("a configuration has intervals");
    Sample::made_at(now_us, ids.next(now_us), shortest)
}

struct SmokeTest {
    sample: Sample,
    began_us: i64,
    within: Duration,
    reader: Box<dyn StoreReader>,
    report: Report,
    config: Config,
    clock: Arc<dyn Clock>,
}

impl SmokeTest {
    fn send(&mut self, publisher: &mut KafkaPublisher) -> Result<()> {
        let settings = &self.config.schema_registry;
        let avro = registry::open_avro(settings, &self.config.topics, self.clock.clone())?;
        let partitions = publisher.partition_count();
        match publisher.publish(self.sample.records(&avro, partitions)?)? {
            Published::Taken => publisher.flush(SEND_WITHIN)?,
            Published::NoRoom(_) => {
                return Err(Error::Bug("a new publisher has no room for six records".into()));
            }
        }
        let (topic, count) = (&self.config.topics.trades, self.sample.trades.len());
        let partition = partition_for_key(SYMBOL.as_bytes(), partitions);
        let detail = format!("{count} trades of {SYMBOL} to topic {topic}, partition {partition}");
        self.tell("sent", Outcome::Found, detail)
    }

    fn find_trades(&mut self) -> Result<()> {
        for tier in look::TIERS {
            let sample = self.sample.clone();
            self.find(look::table(tier), |reader| look::at_trades(reader, tier, &sample))?;
        }
        Ok(())
    }

    fn find_bars(&mut self) -> Result<()> {
        for interval in self.config.stream.parsed_intervals() {
            let sample = self.sample.clone();
            let place = format!("trades_gold_{interval}");
            self.find(&place, |reader| look::at_bar(reader, interval, &sample))?;
        }
        Ok(())
    }

    /// Looks again and again until it is found, it cannot be found any more, or the time is over.
    fn find(
        &mut self,
        place: &str,
        mut look: impl FnMut(&dyn StoreReader) -> Result<Look>,
    ) -> Result<()> {
        loop {
            let (outcome, detail) = match look(self.reader.as_ref())? {
                Look::Found(detail) => (Outcome::Found, detail),
                Look::Wrong(detail) => (Outcome::Missing, detail),
                Look::NotYet(detail) if self.elapsed() >= self.within => (Outcome::Missing, detail),
                Look::NotYet(_) => {
                    self.clock.sleep(LOOK_EVERY);
                    continue;
                }
            };
            return self.tell(place, outcome, detail);
        }
    }

    fn ask_api(&mut self, named: Option<&str>) -> Result<()> {
        let own = own_address(&self.config.http, self.config.http.port);
        let Some(address) = named.map(str::to_owned).or(own) else { return Ok(()) };
        let token = self.config.http.token.clone();
        if named.is_none()
            && let probe::Answer::Absent(why) = probe::ask_ready(&address)
        {
            let detail = format!(
                "nobody at {address} ({why}); `ticksmith serve` is the API, --api asks elsewhere"
            );
            return self.tell("http api", Outcome::Skipped, detail);
        }
        let intervals = self.config.stream.parsed_intervals();
        let sample = self.sample.clone();
        self.find("http api", |reader| look::at_api(reader, &address, &token, &sample, &intervals))
    }

    fn elapsed(&self) -> Duration {
        let elapsed_us = self.clock.monotonic_us() - self.began_us;
        Duration::from_micros(elapsed_us.unsigned_abs())
    }

    fn tell(&mut self, place: &str, outcome: Outcome, detail: String) -> Result<()> {
        let after_ms = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.report.add(Step { place: place.to_owned(), outcome, detail, after_ms })
    }

    /// What is missing has a reason that the group may know.
    fn finish(mut self) -> Result<()> {
        if self.report.has_missing() {
            let problems = match status::summary(&self.config) {
                Ok(summary) => summary.problems,
                Err(error) => vec![error.to_string()],
            };
            self.report.problems = problems;
        }
        range_query::print(self.report.ending(self.sample.connection()).as_bytes())?;
        self.report.verdict(self.within)
    }
}
