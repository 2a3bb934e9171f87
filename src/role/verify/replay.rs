//! Recorded frames through the producer's logic and the engine, in one go and one partition: the
//! watermark comes from the trades themselves, since a recording has no arrival times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use crate::codec::finnhub;
use crate::engine::{
    Engine, Input, Intake, IntakeConfig, IntakeCounts, IntakeOutput, Numbered, Rules,
};
use crate::error::{Error, Result};
use crate::model::{Arrival, Bar, Effects, Frame, Origin, Tally, Trade};
use crate::telemetry::stream as telemetry;

/// The feed sends frames of some kilobytes; a longer line is no frame, and must not fill the
/// memory.
const LINE_BYTES_MAX: u64 = 16 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
const SYMBOLS_LISTED: usize = 20;

/// What the frames came to.
#[derive(Debug)]
pub(super) struct Replayed {
    pub symbol: String,
    /// The last state of each bar, by start in ms.
    pub bars: BTreeMap<i64, Bar>,
    pub counts: IntakeCounts,
    pub tally: Tally,
    /// Trades of the symbol.
    pub trades: u64,
}

/// Reads `path` to its end. Without `symbol` the file must hold one symbol only.
///
/// # Errors
/// `Config`: the file is unreadable, empty, damaged, without trades, or its symbols leave a choice.
pub(super) fn replay(
    path: &Path,
    symbol: Option<&str>,
    drop_repeats: bool,
    rules: Arc<Rules>,
) -> Result<Replayed> {
    let name = path.display().to_string();
    let unreadable = |error: io::Error| {
        Error::Config(format!("{name} cannot be read: {error}; give recorded frames"))
    };
    let mut input = open(path).map_err(unreadable)?;
    let mut run = Run::new(symbol, drop_repeats, rules);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        match length.map_err(unreadable)? as u64 {
            0 => break,
            LINE_BYTES_MAX => {
                return Err(Error::Config(format!(
                    "{name} has a line over {} MiB; give one JSON frame a line",
                    LINE_BYTES_MAX >> 20
                )));
            }
            _ => run.line(&line),
        }
    }
    run.finish(&name)
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}

struct Run {
    wanted: Option<String>,
    symbols: BTreeSet<String>,
    intake: Intake,
    output: IntakeOutput,
    engine: Engine,
    effects: Effects,
    next_offset: i64,
    trades: u64,
    bars: BTreeMap<(Arc<str>, i64), Bar>,
}

impl Run {
    fn new(wanted: Option<&str>, drop_repeats: bool, rules: Arc<Rules>) -> Self {
        let mut intake = Intake::new(IntakeConfig {
            connection: 1,
            feed: "verify/0".into(),
            drop_repeats,
            future_bound_ms: rules.future_bound_ms,
        });
        let mut output = IntakeOutput::default();
        intake.connected(Arrival::default(), &mut output);
        Self {
            wanted: wanted.map(str::to_owned),
            symbols: BTreeSet::new(),
            intake,
            output,
            engine: Engine::new(rules, 0, 1),
            effects: Effects::default(),
            next_offset: 0,
            trades: 0,
            bars: BTreeMap::new(),
        }
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
        if line.is_empty() {
            return;
        }
        let (raw, frame) = match std::str::from_utf8(line) {
            Ok(raw) => (raw.into(), finnhub::decode(raw)),
            Err(_) => {
                let problem = "not UTF-8".to_owned();
                (String::from_utf8_lossy(line), Frame::Malformed { problem })
            }
        };
        self.intake.accept_frame(&raw, frame, Arrival::default(), &mut self.output);
        self.output.rejections.clear();
        self.step();
    }

    /// Hands the numbered records to the engine and keeps the newest state of every bar.
    fn step(&mut self) {
        let records = std::mem::take(&mut self.output.records);
        for record in records {
            let origin = Origin { partition: 0, offset: self.next_offset };
            match record {
                Numbered::Event(event) => {
                    self.engine.step(Input::Event { origin, event }, &mut self.effects);
                }
                Numbered::Trade(trade) if self.is_wanted(&trade) => {
                    self.trades += 1;
                    let key = trade.symbol.clone();
                    let input = Input::Trade { origin, key: Some(key.as_bytes()), trade };
                    self.engine.step(input, &mut self.effects);
                }
                Numbered::Trade(_) => continue,
            }
            self.next_offset += 1;
        }
        self.keep_bars();
    }

    fn is_wanted(&mut self, trade: &Trade) -> bool {
        if !self.symbols.contains(&trade.symbol) {
            self.symbols.insert(trade.symbol.clone());
        }
        self.wanted.as_ref().is_none_or(|wanted| *wanted == trade.symbol)
    }

    fn keep_bars(&mut self) {
        telemetry::outside_calendar(self.effects.outside_calendar);
        for bar in self.effects.bars.drain(..) {
            self.bars.insert((Arc::clone(&bar.symbol), bar.window.start_ms), bar);
        }
        self.effects.clear();
    }

    fn finish(mut self, name: &str) -> Result<Replayed> {
        self.engine.step(Input::Drain, &mut self.effects);
        self.keep_bars();
        let counts = self.output.counts;
        if counts.frames == 0 {
            return Err(Error::Config(format!("{name} is empty; give recorded frames")));
        }
        let symbol = self.the_symbol(name)?;
        Ok(Replayed {
            bars: self.bars.into_iter().map(|((_, start_ms), bar)| (start_ms, bar)).collect(),
            symbol,
            counts,
            tally: self.engine.tally(),
            trades: self.trades,
        })
    }

    fn the_symbol(&self, name: &str) -> Result<String> {
        let mut listed: Vec<&str> =
            self.symbols.iter().take(SYMBOLS_LISTED).map(String::as_str).collect();
        if self.symbols.len() > SYMBOLS_LISTED {
            listed.push("…");
        }
        let listed = listed.join(", ");
        match (&self.wanted, self.symbols.len()) {
            (_, 0) => {
                let frames = self.output.counts.frames;
                Err(Error::Config(format!(
                    "{name} has no trade in its {frames} lines; give recorded trade frames"
                )))
            }
            (Some(wanted), _) if self.trades > 0 => Ok(wanted.clone()),
            (Some(wanted), _) => Err(Error::Config(format!(
                "{name} has no trade of '{wanted}'; give --symbol one of: {listed}"
            ))),
            (None, 1) => Ok(listed),
            (None, count) => Err(Error::Config(format!(
                "{name} has {count} symbols; choose one with --symbol: {listed}"
            ))),
        }
    }
}
