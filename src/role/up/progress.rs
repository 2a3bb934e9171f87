//! What `up` tells the person in front of it: the address first, then how it goes, then what came
//! of it. On a terminal one line is rewritten every second; elsewhere plain lines, less often.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use chrono::DateTime;

use crate::http::StateView;
use crate::model::Bar;

const ON_TERMINAL_EVERY: Duration = Duration::from_secs(1);
const ELSEWHERE_EVERY: Duration = Duration::from_secs(5);
/// To the beginning of the line, which is then cleared.
const REWRITE: &str = "\r\x1b[K";

pub struct Progress {
    url: String,
    feed: String,
    data: String,
    is_terminal: bool,
}

impl Progress {
    pub fn new(url: String, feed: String, data: String) -> Self {
        Self { url, feed, data, is_terminal: std::io::stdout().is_terminal() }
    }

    pub fn every(&self) -> Duration {
        if self.is_terminal { ON_TERMINAL_EVERY } else { ELSEWHERE_EVERY }
    }

    /// The address, and what is to be seen there.
    pub fn begin(&self) {
        let Self { url, feed, data, .. } = self;
        self.write(&format!(
            "dashboard  {url}\nfeed       {feed}\ndata       {data}\nstop       Ctrl-C\n"
        ));
    }

    /// How it goes.
    pub fn show(&self, state: &StateView, latest: Option<&Bar>) {
        let line = line(state, latest);
        if self.is_terminal {
            self.write(&format!("{REWRITE}{line}"));
        } else {
            let time = DateTime::from_timestamp_millis(state.now).unwrap_or_default();
            self.write(&format!("{}  {line}\n", time.format("%H:%M:%S")));
        }
    }

    /// What came of it.
    pub fn end(&self, state: &StateView, is_clean: bool) {
        let counts = &state.counts;
        let lead = if self.is_terminal { REWRITE } else { "" };
        let how = if is_clean { "stopped" } else { "stopped by an error" };
        let trades = counts.total - counts.control;
        self.write(&format!(
            "{lead}{how}    {trades} trades of {} symbols: {} merged, {} duplicate, {} late, {} rejected; \
             {} control records\nbars       {} closed, {} corrected, {} provisional updates\n\
             lag        {} records\ndashboard  was {}\ndata       {}\n",
            state.symbols,
            counts.merged,
            counts.duplicate,
            counts.late,
            counts.rejected,
            counts.control,
            state.bars.closed,
            state.bars.corrected,
            state.bars.provisional,
            state.lag_records,
            self.url,
            self.data,
        ));
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // Nobody may be reading any more; the page and the data are what counts.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Rates, lag, what was set aside, and the newest bar: at most a terminal's width.
fn line(state: &StateView, latest: Option<&Bar>) -> String {
    let (counts, rates) = (&state.counts, &state.rates);
    let rate = rates.total - rates.control;
    let (merged, lag) = (counts.merged, state.lag_records);
    let aside = counts.duplicate + counts.late + counts.rejected;
    let line = format!("{rate:.0} trades/s, lag {lag}, {merged} merged, {aside} set aside");
    match latest.and_then(|bar| bar.close.map(|close| (bar, close.price))) {
        None => line,
        Some((bar, close)) => {
            let start = DateTime::from_timestamp_millis(bar.window.start_ms).unwrap_or_default();
            let (start, interval) = (start.format("%H:%M"), bar.interval);
            format!("{line}; {} {interval} {start} {close}", bar.symbol)
        }
    }
}
