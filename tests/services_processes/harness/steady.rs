//! A recording in which every symbol trades at a steady pace, each trade at a time of its own: what
//! of it is missing anywhere can be named.

use std::io::Write;

use super::world::{Frames, World};

/// 2024-03-11 15:00:00 UTC, so that some seconds of it stay in one bar.
const BASE_MS: i64 = 1_710_169_200_000;
pub const SYMBOLS: [&str; 4] = ["AAPL", "MSFT", "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"];

/// A frame with a trade of each symbol every so many milliseconds.
pub fn record(world: &World, seconds: i64, every_ms: i64) -> Frames {
    let path = world.file("steady.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    for number in 0..seconds * 1_000 / every_ms {
        let (time_ms, price) = (BASE_MS + number * every_ms, 100 + number % 50);
        let element =
            |symbol: &&str| format!(r#"{{"p":{price},"s":"{symbol}","t":{time_ms},"v":1}}"#);
        let elements: Vec<String> = SYMBOLS.iter().map(element).collect();
        let line = format!(r#"{{"data":[{}],"type":"trade"}}"#, elements.join(","));
        writeln!(file, "{line}").expect("written");
    }
    file.flush().expect("written");
    Frames { path, symbols: SYMBOLS.join(",") }
}

/// Holds the topic against the recording; see the script. Returns what it counted.
pub fn assert_delivered(world: &World, frames: &Frames, arguments: &[&str]) -> serde_json::Value {
    let path = frames.path.to_str().expect("the path is text");
    let said = world.python("delivered.py", &[&[path][..], arguments].concat());
    println!("{}: {}", world.name(), said.trim());
    serde_json::from_str(said.lines().next().expect("a line")).expect("counts")
}
