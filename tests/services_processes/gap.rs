//! A socket is pulled for 37 s: exactly the symbols of that connection say so, in their bars, in
//! their history and in `feed_gaps`, and they say the same when the log is read again.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::harness::proxy::Proxy;
use crate::harness::world::address_in;
use crate::harness::{World, eventually, with_steady_servers};

/// 2024-03-11 14:58:20 UTC: 100 s before five minutes and an hour end together.
const BASE_MS: i64 = 1_710_169_100_000;
const HOUR_MS: i64 = 3_600_000;
/// A step of more than a week is not waited for by the simulator: the feed is there long before the
/// hour begins.
const LONG_BEFORE_MS: i64 = 8 * 86_400_000;
const LASTS_S: i64 = 115;
const FRAME_EVERY_MS: i64 = 200;
const OUTAGE: Duration = Duration::from_secs(37);
const ONE_HEARTBEAT_MS: i64 = 5_000;
/// Two keys share them in turn, so the first and the third are of the first key.
const SYMBOLS: [&str; 4] = ["AAPL", "MSFT", "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"];
const CUT_KEY: &str = "demo-a";
const HELD_KEY: &str = "demo-b";

fn recording(world: &World) -> String {
    let path = world.file("frames.jsonl");
    let mut file = std::fs::File::create(&path).expect("a file");
    let mut frame = |time_ms: i64, price: i64| {
        let element =
            |symbol: &&str| format!(r#"{{"p":{price},"s":"{symbol}","t":{time_ms},"v":1}}"#);
        let elements: Vec<String> = SYMBOLS.iter().map(element).collect();
        let line = format!(r#"{{"data":[{}],"type":"trade"}}"#, elements.join(","));
        writeln!(file, "{line}").expect("written");
    };
    frame(BASE_MS - LONG_BEFORE_MS, 100);
    for number in 0..LASTS_S * 1_000 / FRAME_EVERY_MS {
        frame(BASE_MS + number * FRAME_EVERY_MS, 100 + number % 50);
    }
    path.to_str().expect("the path is text").to_owned()
}

/// Pulls the socket once the feed flows, and mends it 37 s later.
fn pull_socket(world: &World, proxy: &Proxy) {
    world.wait_for_trades(200);
    proxy.cut(CUT_KEY);
    let cut = Instant::now();
    eventually("the outage is over", || {
        let left = OUTAGE.saturating_sub(cut.elapsed());
        if left.is_zero() { Ok(()) } else { Err(format!("{left:?} are left")) }
    });
    proxy.mend();
}

fn world_with_gap() -> World {
    let mut world = World::prepared("gap");
    world.set_keys(&format!("{CUT_KEY},{HELD_KEY}"));
    world.set("PRODUCER__BACKOFF_INITIAL_MS", "200");
    world.set("PRODUCER__BACKOFF_MAX_MS", "400");
    let frames = recording(&world);
    let arguments = ["simulate", "--port", "0", "--speed", "1", "--exit-at-end", "--frames"];
    let mut simulator = world.start(&[&arguments[..], &[&frames]].concat());
    let proxy = Proxy::start(&simulator.wait_for("its address", address_in));
    let stream = world.start(&["stream"]);
    let symbols = SYMBOLS.join(",");
    let url = format!("ws://{}", proxy.address);
    let producer = world.start(&["producer", "--url", &url, "--symbols", &symbols]);
    pull_socket(&world, &proxy);
    assert_eq!(simulator.wait().code(), 0, "simulate --exit-at-end");
    let produced = producer.terminate();
    assert_eq!(produced.code(), 0, "producer after SIGTERM:\n{}", produced.said);
    world.wait_until_read();
    let streamed = stream.terminate();
    assert_eq!(streamed.code(), 0, "stream after SIGTERM:\n{}", streamed.said);
    world.succeed(&["stream", "--until-end", "--drain"]);
    world
}

/// `gap_ms` and verdict of the bar that ends with the hour.
fn bar(world: &World, interval: &str, length_ms: i64, symbol: &str) -> (i64, String) {
    let start_ms = BASE_MS / HOUR_MS * HOUR_MS + HOUR_MS - length_ms;
    let found = world.cql(&format!(
        "SELECT CAST(gap_ms AS text), verdict FROM {{}}.trades_gold_{interval} \
         WHERE symbol = '{symbol}' AND ts = {start_ms} AND state IN ('closed', 'corrected') \
         ALLOW FILTERING"
    ));
    let (gap_ms, verdict) = found.unwrap_or_else(|| panic!("no closed {interval} bar of {symbol}"));
    (gap_ms.parse().expect("a number"), verdict)
}

fn assert_gaps(world: &World) -> Vec<(i64, String)> {
    let outage_ms = i64::try_from(OUTAGE.as_millis()).expect("fits");
    let mut told = Vec::new();
    for (position, symbol) in SYMBOLS.iter().enumerate() {
        for (interval, length_ms) in [("5m", 300_000), ("1h", HOUR_MS)] {
            let (gap_ms, verdict) = bar(world, interval, length_ms, symbol);
            let shown = format!("{symbol} {interval}: gap {gap_ms} ms, {verdict}");
            if position % 2 == 0 {
                let is_near = (gap_ms - outage_ms).abs() <= ONE_HEARTBEAT_MS;
                assert!(is_near && verdict == "partial", "{shown}");
            } else {
                assert!(gap_ms == 0 && verdict == "complete", "{shown}");
            }
            println!("{}: {shown}", world.name());
            told.push((gap_ms, verdict));
        }
    }
    told
}

#[test]
fn a_socket_pulled_for_37_s_is_told_by_exactly_its_symbols_and_by_a_replay_as_well() {
    let _servers = with_steady_servers();
    let world = world_with_gap();
    let told = assert_gaps(&world);
    let wanted = "merged,control,bar closed,gap disconnected";
    world.check(&["--drained", "--expect", wanted]);

    let mut again = World::new("gap_again");
    again.set("TOPICS__TRADES", world.setting("TOPICS__TRADES"));
    again.succeed(&["topics"]);
    again.succeed(&["cassandra-init"]);
    again.succeed(&["stream", "--until-end", "--drain"]);
    assert_eq!(assert_gaps(&again), told, "a replay says the same");
    again.check(&["--drained", "--expect", wanted]);
}
