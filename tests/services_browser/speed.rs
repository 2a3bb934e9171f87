//! How smoothly the page runs beside a market of a hundred symbols and five thousand trades a
//! second. What it comes to is printed, and stands in docs/DASHBOARD.md; asserted are bounds that a
//! busy machine keeps too.

use serde_json::Value;

use crate::devtools::Page;
use crate::process::Up;

/// Counts for so long, seconds.
const SECONDS: u32 = 20;

/// Frames and long tasks over a while: the time between two frames, and how long the page's own
/// thread was busy with each: from the start of the frame until the browser had time for a message.
const MEASURE: &str = "new Promise((done) => {
  const [between, busy, tasks] = [[], [], []];
  const observer = new PerformanceObserver((list) => {
    tasks.push(...list.getEntries().map((entry) => entry.duration));
  });
  observer.observe({ type: 'longtask' });
  const why = [];
  const blame = new PerformanceObserver((list) => list.getEntries().forEach((entry) => why.push({
    frame: Math.round(entry.duration),
    layout: Math.round(entry.startTime + entry.duration - entry.styleAndLayoutStart),
    scripts: entry.scripts.map(({ invoker, sourceFunctionName, duration }) =>
      `${invoker} ${sourceFunctionName} ${Math.round(duration)} ms`),
  })));
  blame.observe({ type: 'long-animation-frame' });
  const channel = new MessageChannel();
  let began = performance.now();
  let last = null;
  channel.port1.onmessage = () => busy.push(performance.now() - began);
  const until = performance.now() + SECONDS * 1000;
  const frame = (now) => {
    began = performance.now();
    if (last !== null) between.push(now - last);
    last = now;
    channel.port2.postMessage(0);
    if (began < until) return requestAnimationFrame(frame);
    observer.disconnect();
    blame.disconnect();
    const at = (values, share) => values.sort((a, b) => a - b)[Math.floor(values.length * share)];
    done({
      frames: between.length,
      between_p50: at(between, 0.5), between_p95: at(between, 0.95), between_p99: at(between, 0.99),
      busy_p50: at(busy, 0.5), busy_p95: at(busy, 0.95), busy_p99: at(busy, 0.99),
      long_tasks: tasks.length, longest_task: Math.max(0, ...tasks),
      why, long_ms: tasks.reduce((sum, duration) => sum + duration, 0),
    });
  };
  requestAnimationFrame(frame);
})";

fn measure(page: &mut Page, what: &str) -> Value {
    let figures = page.evaluate(&MEASURE.replace("SECONDS", &SECONDS.to_string()));
    println!("{what}: {figures}");
    figures
}

#[test]
fn a_hundred_symbols_and_five_thousand_trades_a_second_leave_the_page_smooth() {
    let symbols: Vec<String> = (0..100).map(|n| format!("BINANCE:C{n:02}USDT")).collect();
    let symbols = symbols.join(",");
    let arguments = ["--symbols", &symbols, "--rate", "5000", "--history", "2h"];
    let up = Up::start_with(&arguments, &[("TICKSMITH__FINNHUB__SYMBOLS_PER_KEY", "100")]);
    let mut page = Page::open(&up.url, 1_360, 850);
    page.wait_for("document.body.dataset.candles >= 20");
    page.wait_for("document.querySelectorAll('#symbols .last:not(:empty)').length === 100");
    page.wait_for("document.body.dataset.indicators === 'sma20,vwap'");
    for (page_key, name) in [("c", "chart"), ("m", "market"), ("p", "pipeline")] {
        page.press(page_key);
        page.wait_for(&format!("document.body.dataset.shown === '{name}'"));
        let figures = measure(&mut page, name);
        let value = |key: &str| figures[key].as_f64().expect("a figure");
        assert!(value("frames") > 0.0, "{name}: {figures}");
        // Of a machine that is busy with other things too, only that the page itself is not at
        // work for longer than a frame as a rule, nor in long tasks for half of the time.
        assert!(value("busy_p50") < 16.7, "{name}: {figures}");
        assert!(value("long_ms") < f64::from(SECONDS) * 500.0, "{name}: {figures}");
    }
    let state = up.json("/api/v1/state");
    println!("server: {} records/s, {} symbols", state["rates"]["total"], state["symbols"]);
    page.assert_quiet(&up.url);
}
