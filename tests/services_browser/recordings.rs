//! Recordings made for one test each: their bars are known beforehand, and stand still.

use std::fmt::Write as _;
use std::path::PathBuf;

/// 2024-03-05, ten in the morning in New York: the regular session of a Tuesday.
pub const TEN_IN_NEW_YORK_MS: i64 = 1_709_650_800_000;
pub const BAR_MS: i64 = 300_000;

/// A file of frames that is gone with the test.
pub struct Frames {
    text: String,
    directory: tempfile::TempDir,
}

impl Frames {
    pub fn new() -> Self {
        Self { text: String::new(), directory: tempfile::tempdir().expect("a directory") }
    }

    /// One trade a frame; `codes` as in `"1","12"`, empty for a market that has none.
    pub fn trade(&mut self, symbol: &str, time_ms: i64, price: f64, volume: f64, codes: &str) {
        let codes = if codes.is_empty() { String::new() } else { format!("\"c\":[{codes}],") };
        let trade =
            format!("{{{codes}\"p\":{price},\"s\":\"{symbol}\",\"t\":{time_ms},\"v\":{volume}}}");
        self.line(&format!("{{\"data\":[{trade}],\"type\":\"trade\"}}"));
    }

    /// Any line.
    pub fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("text takes text");
    }

    pub fn save(&self) -> PathBuf {
        let path = self.directory.path().join("frames.jsonl");
        std::fs::write(&path, &self.text).expect("written");
        path
    }
}

/// Three windows of a regular session; the second has odd lots only, which set no price.
pub fn with_a_volume_only_bar() -> Frames {
    let mut frames = Frames::new();
    for position in 0..80 {
        let is_odd = (30..60).contains(&position);
        let (codes, size) = if is_odd { ("\"1\",\"12\"", 7) } else { ("\"1\"", 100 + position) };
        let price = 170.0 + (position % 7) as f64 / 10.0;
        let time_ms = TEN_IN_NEW_YORK_MS + position * 10_000;
        frames.trade("AAPL", time_ms, price, size as f64, codes);
    }
    frames
}

/// Two trades in every five minutes of so many days, on a path that no two bars share.
pub fn of_days(symbol: &str, days: i64) -> Frames {
    let mut frames = Frames::new();
    for bar in 0..days * 288 {
        let wave = |period: f64| (bar as f64 / period).sin();
        let price = 60_000.0 + 3_000.0 * wave(900.0) + 400.0 * wave(97.0) + 60.0 * wave(7.0);
        for (offset_ms, step) in [(20_000, 0.0), (200_000, 35.0 * wave(3.0))] {
            let time_ms = TEN_IN_NEW_YORK_MS + bar * BAR_MS + offset_ms;
            let price = ((price + step) * 100.0).round() / 100.0;
            frames.trade(symbol, time_ms, price, (25 + bar % 11) as f64 / 100.0, "");
        }
    }
    frames
}

/// A trade every ten seconds for two hours; after a while one in six is six minutes old, and so
/// corrects a bar that was closed.
pub fn with_corrections() -> Frames {
    let mut frames = Frames::new();
    for position in 0..720i64 {
        let now_ms = TEN_IN_NEW_YORK_MS + position * 10_000;
        let price = 170.0 + (position % 13) as f64 / 10.0;
        frames.trade("AAPL", now_ms, price, 100.0, "\"1\"");
        if position > 72 && position % 6 == 0 {
            frames.trade("AAPL", now_ms - 360_000, price, 300.0, "\"1\"");
        }
    }
    frames
}

/// A day of four symbols of which two rise and one falls, and of trades that are set aside.
pub fn of_a_market() -> Frames {
    let mut frames = Frames::new();
    let symbols = [("BINANCE:UPUSDT", 1.8), ("BINANCE:DOWNUSDT", -2.4), ("BINANCE:MILDUSDT", 0.3)];
    for step in 0..=288i64 {
        let at_ms = TEN_IN_NEW_YORK_MS + step * BAR_MS;
        for (symbol, percent) in symbols {
            let price = 100.0 * (1.0 + percent / 100.0 * step as f64 / 288.0);
            frames.trade(symbol, at_ms, (price * 1e4).round() / 1e4, 2.0, "");
        }
        frames.trade("OANDA:FLAT", at_ms, 1.25, 0.0, "");
    }
    let end_ms = TEN_IN_NEW_YORK_MS + 288 * BAR_MS;
    for (time_ms, price) in [(end_ms - 86_400_000, 100.0), (end_ms, -5.0), (end_ms, 0.0)] {
        frames.trade("BINANCE:UPUSDT", time_ms + 1, price, 1.0, "");
    }
    frames
}
