//! The parts that are a rate: each case in turn, round after round, so that a machine that slows
//! down slows all of them.

use crate::generator::Generator;
use crate::lab::{Lab, Names};
use crate::log::Log;
use crate::measure::Measured;
use crate::options::{Options, Part};
use crate::report::{Report, Row};
use crate::stream::{self, Market};
use crate::{poll, producer, up, writer};

/// Trades of a frame of the feed: an ordinary second, and a busy one.
const FRAME_TRADES: [usize; 2] = [5, 50];
/// Simulated trades a second: little, and more than it takes.
const UP_RATES: [&str; 2] = ["5000", "300000"];

/// Something that is run several times.
pub struct Case<'a> {
    pub name: String,
    pub run: Box<dyn FnMut(usize) -> Measured + 'a>,
}

impl<'a> Case<'a> {
    pub fn new(name: impl Into<String>, run: impl FnMut(usize) -> Measured + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// Runs what is wanted.
pub fn run(lab: &Lab, options: &Options, report: &mut Report) {
    for symbols in &options.symbols {
        let mut cases = Vec::new();
        if options.wants_any(&[Part::A, Part::B, Part::C, Part::I]) {
            let market = market(lab, *symbols, options.trades, 6);
            cases.extend(reading(lab, options, &market));
        }
        if options.wants(Part::D) {
            let market = market(lab, *symbols, options.table_trades.min(options.trades), 6);
            cases.push(stream::into_tables(lab, market));
        }
        if options.wants(Part::E) {
            cases.push(writer::case(lab, *symbols, options.table_trades.min(options.trades)));
        }
        if options.wants(Part::F) {
            let of = |per_frame| producer::case(lab, *symbols, options.trades, per_frame);
            cases.extend(FRAME_TRADES.map(of));
        }
        rounds(cases, options, &format!(", {symbols} symbols"), report);
    }
    if options.wants(Part::K) {
        rounds(UP_RATES.map(|rate| up::case(lab, rate)).into(), options, "", report);
    }
}

fn reading<'a>(lab: &'a Lab, options: &Options, market: &Market) -> Vec<Case<'a>> {
    let mut cases = Vec::new();
    if options.wants(Part::A) {
        cases.push(poll::each(lab, market));
        cases.push(poll::batches(lab, market));
    }
    if options.wants(Part::B) {
        cases.push(stream::bars_only(lab, market.clone(), "at_least_once"));
        cases.push(stream::bars_only(lab, market.clone(), "exactly_once"));
    }
    if options.wants(Part::C) {
        cases.push(stream::with_silver(lab, market.clone()));
    }
    if options.wants(Part::I) {
        cases.push(stream::two_processes(lab, market.clone()));
        let many = self::market(lab, market.symbols, market.trades, 24);
        cases.push(stream::many_partitions(lab, many));
    }
    cases
}

/// A topic with the market in it, and what its bars must be.
pub fn market(lab: &Lab, symbols: usize, trades: usize, partitions: u32) -> Market {
    let topic = format!("bench-trades-{symbols}-{trades}-{partitions}");
    let log = Log { bootstrap: lab.kafka.clone(), topic: topic.clone(), partitions };
    eprintln!("loading {trades} trades of {symbols} symbols into {topic} …");
    let count = partitions.to_string();
    let names = Names::new(format!("{topic}-load"), topic);
    lab.prepare(&names, "topics", &[("TOPICS__PARTITIONS", count.as_str())]);
    log.fill(Generator::new(symbols).take(trades));
    Market::new(log, symbols, trades)
}

/// Each case once a round; the first rounds warm up.
fn rounds(mut cases: Vec<Case<'_>>, options: &Options, note: &str, report: &mut Report) {
    let mut measured: Vec<Vec<Measured>> = cases.iter().map(|_| Vec::new()).collect();
    for round in 0..options.warm_up + options.runs {
        let counted = (round + 1).checked_sub(options.warm_up).filter(|run| *run > 0);
        let label = counted.map_or_else(|| "warm-up".to_owned(), |run| format!("run {run}"));
        for (case, runs) in cases.iter_mut().zip(&mut measured) {
            let one = (case.run)(round);
            eprintln!("{label}: {}{note}: {one}", case.name);
            runs.extend(counted.map(|_| one));
        }
    }
    for (case, runs) in cases.into_iter().zip(measured).filter(|(_, runs)| !runs.is_empty()) {
        report.rows.push(Row { name: format!("{}{note}", case.name), runs });
    }
}
