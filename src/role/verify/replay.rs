//! Recorded frames through the producer's logic and the engine, in one go and one partition: the
//! watermark comes from the trades themselves, since a recording has no arrival times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::second_look::{Group, SecondLook};
use crate::codec::finnhub;
use crate::engine::{
    Engine, Input, Intake, IntakeConfig, IntakeCounts, IntakeOutput, Numbered, Rules,
};
use crate::error::{Error, Result};
use crate::model::{Arrival, Bar, Effects, Frame, Origin, Tally, Trade};
use crate::telemetry::stream as telemetry;

/// The feed sends frames of some kilobytes; a longer line is no frame, and must not fill the
/// memory.
const LINE_BYTES_MAX: u64 = 4 << 20;
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

/// A file of frames and how it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recording<'a> {
    pub path: &'a Path,
    /// Without it the file must hold one symbol only.
    pub symbol: Option<&'a str>,
    pub drop_repeats: bool,
}

/// Reads a recording to its end; `look` collects what became of the trades of its windows.
///
/// # Errors
/// `Config`: the file is unreadable, empty, damaged, without trades, or its symbols leave a choice.
pub(super) fn replay(
    recording: Recording<'_>,
    rules: Arc<Rules>,
    look: Option<&mut SecondLook>,
) -> Result<Replayed> {
    let name = recording.path.display().to_string();
    let unreadable = |error: io::Error| {
        Error::Config(format!("{name} cannot be read: {error}; give recorded frames"))
    };
    let mut input = open(recording.path).map_err(unreadable)?;
    let mut run = Run::new(recording, rules, look);
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

struct Run<'a> {
    wanted: Option<&'a str>,
    symbols: BTreeSet<String>,
    intake: Intake,
    output: IntakeOutput,
    engine: Engine,
    effects: Effects,
    next_offset: i64,
    trades: u64,
    bars: BTreeMap<(Arc<str>, i64), Bar>,
    look: Option<&'a mut SecondLook>,
}

impl<'a> Run<'a> {
    fn new(recording: Recording<'a>, rules: Arc<Rules>, look: Option<&'a mut SecondLook>) -> Self {
        let intake = Intake::new(IntakeConfig {
            connection: 1,
            feed: "verify/0".into(),
            drop_repeats: recording.drop_repeats,
            future_bound_ms: rules.future_bound_ms,
        });
        Self {
            wanted: recording.symbol,
            symbols: BTreeSet::new(),
            intake,
            output: IntakeOutput::default(),
            engine: Engine::new(rules, 0, 1),
            effects: Effects::default(),
            next_offset: 0,
            trades: 0,
            bars: BTreeMap::new(),
            look,
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
        let sent = self.look.is_some().then(|| frame.clone());
        let before = self.output.counts;
        self.intake.accept_frame(&raw, frame, Arrival::default(), &mut self.output);
        self.output.rejections.clear();
        let counts = self.output.counts;
        if let (Some(look), Some(sent)) = (self.look.as_deref_mut(), sent) {
            let is_repeat = counts.repeats_dropped > before.repeats_dropped;
            let group = if is_repeat { Group::Repeated } else { Group::SecondEncoding };
            look.kept_back(group, self.wanted.unwrap_or_default(), &sent, &self.output.records);
        }
        self.step(counts.repeats_kept > before.repeats_kept);
    }

    /// Hands the numbered trades to the engine and keeps the newest state of every bar. Feed events
    /// say nothing here: without arrival times it is the trades of the symbol that move its clock.
    fn step(&mut self, is_repeated: bool) {
        for record in std::mem::take(&mut self.output.records) {
            let Numbered::Trade(trade) = record else { continue };
            if !self.is_wanted(&trade) {
                continue;
            }
            self.trades += 1;
            let origin = Origin { partition: 0, offset: self.next_offset };
            let key = trade.symbol.clone();
            let input = Input::Trade { origin, key: Some(key.as_bytes()), trade };
            self.engine.step(input, &mut self.effects);
            self.next_offset += 1;
        }
        if let Some(look) = self.look.as_deref_mut() {
            self.effects.trades.iter().for_each(|judged| look.judged(judged, is_repeated));
        }
        self.keep_bars();
    }

    fn is_wanted(&mut self, trade: &Trade) -> bool {
        if !self.symbols.contains(trade.symbol.as_str()) {
            self.symbols.insert(trade.symbol.to_string());
        }
        self.wanted.is_none_or(|wanted| wanted == trade.symbol)
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
        match (self.wanted, self.symbols.len()) {
            (_, 0) => {
                let frames = self.output.counts.frames;
                Err(Error::Config(format!(
                    "{name} has no trade in its {frames} lines; give recorded trade frames"
                )))
            }
            (Some(wanted), _) if self.trades > 0 => Ok(wanted.to_owned()),
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
