//! Golden cases: small readable files in `tests/golden`, each run straight through and again with a
//! restart from the changelog after every single line; both must print the same.
//!
//! Above `expect` stands what happens, one line each; times are of 2024-03-11 UTC (New York is four
//! hours behind):
//!
//! ```text
//! intervals 5m 1h
//! show [completeness] [gaps] [history]
//! EVENT CONNECTION [FEED-TIME] [SYMBOL…] [at=TIME] [confirmed=TIME] [feed=NAME] [lost=N]
//! trade SYMBOL TIME PRICE VOLUME [code,code…] [connection=1] [seq=N] [received=TIME]
//! sample
//! ```
//!
//! EVENT is `connect`, `subscribe`, `heartbeat`, `disconnect`, `silence`, `release`, `overflow` or
//! `decode_loss`. `at` and `received` are the producer's clock; without `at` it shows the feed
//! time. A heartbeat confirms its feed time unless it says otherwise.
//!
//! The worked examples of `docs/` are blocks of the same form, fenced as `golden`. There a line
//! that ends with a backslash goes on with the next one, and `…` stands for any words.

mod changelog;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::DateTime;
use ticksmith::engine::{Engine, Input, Rules};
use ticksmith::model::{
    Bar, Disposition, Effects, ExclusionReason, FeedEvent, FeedEventKind, FeedGap, Interval,
    Origin, PricePoint, Trade,
};

use changelog::Changelog;

/// The engine under test with what surrounds it: a log of one partition and a changelog.
struct Bench {
    rules: Arc<Rules>,
    engine: Engine,
    changelog: Changelog,
    restart_every_line: bool,
    offset: i64,
    seqs: HashMap<i64, i64>,
    /// What `show` asked for beside bars and refusals.
    shown: Vec<String>,
    output: String,
}

/// What stands on a line of the form `NAME=VALUE`.
fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn time_ms(text: &str) -> i64 {
    let whole = if text.contains('T') { text.to_owned() } else { format!("2024-03-11T{text}Z") };
    DateTime::parse_from_rfc3339(&whole).expect("a time").timestamp_millis()
}

fn clock(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).expect("a time");
    let format = if ms % 1_000 == 0 { "%H:%M:%S" } else { "%H:%M:%S%.3f" };
    time.format(format).to_string()
}

impl Bench {
    fn new(restart_every_line: bool) -> Self {
        let five = Interval::parse("5m").expect("valid");
        let rules = Arc::new(Rules::with_intervals(vec![five]).expect("valid"));
        Self {
            engine: Engine::new(Arc::clone(&rules), 0, 1),
            rules,
            changelog: Changelog::new(),
            restart_every_line,
            offset: 0,
            seqs: HashMap::new(),
            shown: Vec::new(),
            output: String::new(),
        }
    }

    fn run(mut self, script: &str) -> String {
        for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[0] == "intervals" {
                self.set_intervals(&words[1..]);
                continue;
            }
            if words[0] == "show" {
                self.shown = words[1..].iter().map(|word| (*word).to_owned()).collect();
                continue;
            }
            let mut effects = Effects::default();
            let disposition = match words[0] {
                "trade" => self.trade(&words[1..], &mut effects),
                "sample" => self.engine.step(Input::Sample, &mut effects),
                kind => self.event(kind, &words[1..], &mut effects),
            };
            self.print(disposition, &effects);
            if self.restart_every_line {
                self.restart();
            }
        }
        self.output
    }

    fn set_intervals(&mut self, words: &[&str]) {
        let intervals = words.iter().map(|text| Interval::parse(text).expect("valid")).collect();
        self.rules = Arc::new(Rules::with_intervals(intervals).expect("they fit"));
        self.engine = Engine::new(Arc::clone(&self.rules), 0, 1);
    }

    fn origin(&mut self) -> Origin {
        self.offset += 1;
        Origin { partition: 0, offset: self.offset }
    }

    fn next_seq(&mut self, connection: i64, given: Option<i64>) -> i64 {
        let seq = self.seqs.entry(connection).or_insert(0);
        *seq = given.unwrap_or(*seq + 1).max(*seq);
        given.unwrap_or(*seq)
    }

    fn trade(&mut self, words: &[&str], effects: &mut Effects) -> Option<Disposition> {
        let number = |name| option(words, name).map(|text| text.parse().expect("a number"));
        let connection = number("connection").unwrap_or(1);
        let seq = self.next_seq(connection, number("seq"));
        let codes = words[4..].iter().find(|word| !word.contains('='));
        let trade = Trade {
            symbol: words[0].into(),
            price: words[2].parse().expect("a price"),
            volume: words[3].parse().expect("a volume"),
            trade_time_ms: time_ms(words[1]),
            conditions: codes.map(|codes| codes.split(',').map(Into::into).collect()),
            connection,
            seq,
            received_at_us: time_ms(option(words, "received").unwrap_or("23:59:59")) * 1_000,
            feed: format!("test/{connection}").into(),
        };
        let input = Input::Trade { origin: self.origin(), key: Some(words[0].as_bytes()), trade };
        self.engine.step(input, effects)
    }

    fn event(&mut self, kind: &str, words: &[&str], effects: &mut Effects) -> Option<Disposition> {
        let connection = words[0].parse().expect("a connection");
        let kind = match kind {
            "connect" => FeedEventKind::Connected,
            "disconnect" => FeedEventKind::Disconnected,
            "subscribe" => FeedEventKind::Subscribed,
            "release" => FeedEventKind::Released,
            other => FeedEventKind::parse(other).expect("a line of the documented kinds"),
        };
        let plain = words[1..].iter().filter(|word| !word.contains('='));
        let is_time = |word: &&&str| word.starts_with(|first: char| first.is_ascii_digit());
        let (times, symbols): (Vec<&str>, Vec<&str>) = plain.partition(is_time);
        let feed_time_ms = times.first().map(|text| time_ms(text));
        let at_ms = option(words, "at").map(time_ms).or(feed_time_ms);
        let confirmed_ms = option(words, "confirmed").map(time_ms);
        let is_heartbeat = kind == FeedEventKind::Heartbeat;
        let feed = option(words, "feed").map_or(format!("test/{connection}"), str::to_owned);
        let event = FeedEvent {
            kind,
            connection,
            seq: self.next_seq(connection, None),
            feed,
            at_us: at_ms.unwrap_or_else(|| time_ms("12:00:00")) * 1_000,
            feed_time_ms,
            confirmed_at_us: None,
            confirmed_feed_time_ms: confirmed_ms.or(feed_time_ms.filter(|_| is_heartbeat)),
            symbols: symbols.into_iter().map(str::to_owned).collect(),
            lost_records: option(words, "lost").map_or(0, |n| n.parse().expect("a number")),
            detail: String::new(),
        };
        let origin = self.origin();
        self.engine.step(Input::Event { origin, event }, effects)
    }

    fn print(&mut self, disposition: Option<Disposition>, effects: &Effects) {
        for judged in &effects.trades {
            if disposition != Some(Disposition::Merged) {
                let trade = &judged.trade;
                let time = clock(trade.trade_time_ms);
                let name = judged.disposition;
                let line = format!("{} {} {} {time}", name.as_str(), name.reason(), trade.symbol);
                let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
                writeln!(self.output, "{line}").expect("a string takes all");
            }
        }
        let shows = |what: &str| self.shown.iter().any(|word| word == what);
        let mut lines: Vec<String> = Vec::new();
        for bar in &effects.bars {
            let completeness = if shows("completeness") { completeness(bar) } else { "".into() };
            lines.push(show(bar) + &completeness);
        }
        if shows("history") {
            lines.extend(effects.revisions.iter().map(|revision| {
                format!("  {} {}{}", revision.why.as_str(), name(&revision.bar), {
                    completeness(&revision.bar)
                })
            }));
        }
        if shows("gaps") {
            lines.extend(effects.gaps.iter().map(gap));
        }
        for line in lines {
            writeln!(self.output, "{line}").expect("a string takes all");
        }
    }

    /// Through the bytes of the changelog and back.
    fn restart(&mut self) {
        self.changelog.save(&mut self.engine);
        let (rules, records) = (Arc::clone(&self.rules), self.changelog.records());
        self.engine = Engine::restore(rules, 0, 1, records).expect("restores");
    }
}

fn name(bar: &Bar) -> String {
    let (start, state) = (clock(bar.window.start_ms), bar.state.as_str());
    format!("{} {} {start} {state} r{}", bar.symbol, bar.interval, bar.revision)
}

fn completeness(bar: &Bar) -> String {
    let coverage = bar.coverage.map_or("-".to_owned(), |share| format!("{share:.6}"));
    format!(" coverage {coverage} gap {} {}", bar.gap_ms, bar.verdict.as_str())
}

fn gap(gap: &FeedGap) -> String {
    let to = gap.to_ms.map_or("...".to_owned(), clock);
    let next = gap.next_connection.map_or(String::new(), |next| format!(" then {next}"));
    let lost = if gap.lost_records > 0 { format!(" lost {}", gap.lost_records) } else { "".into() };
    let (symbol, connection, from) = (&gap.symbol, gap.connection, clock(gap.from_ms));
    format!("  gap {symbol} {connection} {from} to {to} {}{next}{lost}", gap.cause.as_str())
}

fn show(bar: &Bar) -> String {
    let price = |point: Option<PricePoint>| {
        point.map_or("-".to_owned(), |point| {
            format!("{}@{}", point.price, clock(point.trade_time_ms))
        })
    };
    let mut line = format!(
        "{} O {} H {} L {} C {} volume {} count {}",
        name(bar),
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        bar.volume,
        bar.trade_count
    );
    for reason in ExclusionReason::ALL {
        let exclusion = bar.excluded[*reason as usize];
        if exclusion.count > 0 {
            let (name, volume) = (reason.as_str(), exclusion.volume);
            write!(line, " {name} {volume}/{}", exclusion.count).expect("a string takes all");
        }
    }
    if let Some(session) = bar.session {
        write!(line, " {}", session.as_str()).expect("a string takes all");
    }
    line
}

#[test]
fn every_golden_case_prints_what_it_expects_with_and_without_restarts() {
    let mut cases = 0;
    let mut wrong = String::new();
    for path in files_in("tests/golden") {
        let text = std::fs::read_to_string(&path).expect("readable");
        let (script, expected) = text.split_once("\nexpect\n").expect("has an expectation");
        for restarts in [false, true] {
            let found = Bench::new(restarts).run(script);
            if found != expected {
                let shown = path.display();
                let what = format!("{shown}, restarts: {restarts}\n--- expected\n{expected}");
                write!(wrong, "{what}--- found\n{found}").expect("a string takes all");
            }
        }
        cases += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases >= 21, "only {cases} golden cases were found");
}

fn files_in(directory: &str) -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

/// The blocks of a page, each with the line that it begins at.
fn examples(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut open, line) {
            (None, "```golden") => open = Some((number, String::new())),
            (None, _) => {}
            (Some(_), "```") => found.extend(open.take()),
            (Some((_, text)), _) => match line.strip_suffix('\\') {
                Some(begun) => text.push_str(begun),
                None => text.extend([line, "\n"]),
            },
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// Whether `words` are what `pattern` says, `…` standing for any number of words.
fn is_like(pattern: &[&str], words: &[&str]) -> bool {
    match pattern.split_first() {
        None => words.is_empty(),
        Some((&"…", rest)) => (0..=words.len()).any(|skipped| is_like(rest, &words[skipped..])),
        Some((first, rest)) => words.first() == Some(first) && is_like(rest, &words[1..]),
    }
}

/// Every line of `found` is what the line of `expected` beside it says.
fn is_as_expected(expected: &str, found: &str) -> bool {
    expected.lines().count() == found.lines().count()
        && expected.lines().zip(found.lines()).all(|(pattern, line)| {
            let pattern: Vec<&str> = pattern.split_whitespace().collect();
            is_like(&pattern, &line.split_whitespace().collect::<Vec<_>>())
        })
}

#[test]
fn every_worked_example_of_the_documents_is_true() {
    let mut cases = 0;
    let mut problems = Vec::new();
    let pages = [files_in("docs"), files_in("docs/semantics")].concat();
    for path in pages.iter().filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let page = std::fs::read_to_string(path).expect("readable");
        for (line, example) in examples(&page) {
            let at = format!("{}:{line}", path.display());
            let (script, expected) = example.split_once("expect\n").expect(&at);
            for restart in [false, true] {
                let found = Bench::new(restart).run(script);
                if !is_as_expected(expected, &found) {
                    problems
                        .push(format!("{at}, restarts: {restart}\n{expected}--- found\n{found}"));
                }
            }
            cases += 1;
        }
    }
    assert!(problems.is_empty(), "--- expected at {}", problems.join("\n--- expected at "));
    assert!(cases >= 20, "only {cases} examples were found");
}
