//! The dashboard in a real headless browser, served by the real binary: candles are drawn and move,
//! nothing is complained of, and no request leaves the host.

#[path = "browser/devtools.rs"]
mod devtools;
#[path = "process/mod.rs"]
mod process;

use std::path::{Path, PathBuf};

use devtools::Page;
use process::Up;

/// Pixels of the chart that have the colour of rising or falling candles, opaque as bodies and
/// wicks are; volume columns are translucent and do not count.
const CANDLE_PIXELS: &str = "(() => {
  const style = getComputedStyle(document.documentElement);
  const colours = ['--up', '--down'].map((name) => {
    const hex = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  });
  let pixels = 0;
  for (const canvas of document.querySelectorAll('#chart canvas')) {
    if (canvas.width < 200 || canvas.height < 100) continue;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
      const is = ([r, g, b]) => data[i] === r && data[i + 1] === g && data[i + 2] === b;
      if (data[i + 3] === 255 && colours.some(is)) pixels += 1;
    }
  }
  return pixels;
})()";

fn pictures() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&directory).expect("a directory for pictures");
    directory
}

fn candles(page: &mut Page) -> u64 {
    let shown = page.evaluate("document.body.dataset.candles");
    shown.as_str().and_then(|text| text.parse().ok()).expect("a number of candles")
}

#[test]
fn the_dashboard_draws_candles_that_move() {
    let up = Up::start(&["--for", "300s", "--history", "3h", "--seed", "7"]);
    let mut page = Page::open(&up.url, 1_360, 850);
    page.wait_for("document.body.dataset.symbol === 'AAPL' && document.body.dataset.candles >= 30");

    // Really drawn, not only held in memory.
    page.wait_for(&format!("{CANDLE_PIXELS} > 1500"));
    assert!(candles(&mut page) >= 30);

    // They move: the last candle changes, and is marked as provisional.
    let last = page.evaluate("document.body.dataset.last").as_str().expect("a bar").to_owned();
    page.wait_for(&format!("document.body.dataset.last !== '{last}'"));
    page.wait_for("document.querySelector('#legend .tag').dataset.state === 'provisional'");
    page.wait_for("document.querySelectorAll('#trades tr').length >= 20");
    page.wait_for("/[1-9]/.test(document.querySelector('[data-key=merged] dd').textContent)");
    page.wait_for("document.getElementById('feed').dataset.state === 'ok'");
    // The past is over: the present is all that is left.
    page.wait_for("/Lag0 records/.test(document.getElementById('facts').textContent)");
    page.screenshot(&pictures().join("dashboard-dark.png"));

    // A click on a candle explains that candle, of which an earlier one is marked as partial.
    page.click(560.0, 420.0);
    page.wait_for("document.body.dataset.explained > 0");
    page.wait_for("document.querySelectorAll('#explain-body .setter').length === 4");
    page.wait_for("/follows from the/.test(document.getElementById('explain-body').innerText)");
    page.evaluate("document.querySelector('#explain-body details').open = true");
    page.screenshot(&pictures().join("dashboard-explained.png"));
    page.evaluate(
        "dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
         document.getElementById('explain').hidden || fail()",
    );

    // The other interval, another symbol, found by searching.
    page.evaluate("[...document.querySelectorAll('#intervals button')].at(-1).click()");
    page.wait_for("document.body.dataset.interval === '1h' && document.body.dataset.candles >= 3");
    page.evaluate(
        "const box = document.getElementById('search'); box.value = 'btc';
         box.dispatchEvent(new Event('input'));
         document.querySelector('#symbols li:not([hidden]) button').click()",
    );
    page.wait_for("document.body.dataset.symbol === 'BINANCE:BTCUSDT'");
    page.evaluate("document.querySelector('#intervals button').click()");
    page.wait_for("document.body.dataset.interval === '5m' && document.body.dataset.candles >= 30");
    page.wait_for(&format!("{CANDLE_PIXELS} > 1500"));

    page.evaluate("document.getElementById('theme').click()");
    page.wait_for("document.documentElement.dataset.theme === 'light'");
    page.wait_for(&format!("{CANDLE_PIXELS} > 1500"));
    page.screenshot(&pictures().join("dashboard-light.png"));
    page.resize(390, 844);
    page.wait_for("document.documentElement.scrollWidth <= 390");
    page.wait_for(&format!("{CANDLE_PIXELS} > 500"));
    page.screenshot(&pictures().join("dashboard-phone.png"));

    assert_eq!(page.complaints, Vec::<String>::new());
    let away = page.requests.iter().filter(|request| !request.starts_with(&up.url));
    assert_eq!(away.collect::<Vec<_>>(), Vec::<&String>::new(), "requests leave the host");
}

#[test]
fn the_page_finds_the_server_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_str().expect("text");
    let arguments = ["--symbols", "AAPL", "--rate", "50", "--history", "20m", "--data", data];
    let up = Up::start(&arguments);
    let mut page = Page::open(&up.url, 1_000, 700);
    page.wait_for("document.body.dataset.candles >= 3");
    page.wait_for("document.getElementById('feed').dataset.state === 'ok'");
    let port = up.url.rsplit(':').next().expect("a port").to_owned();
    up.signal(libc::SIGINT);
    assert!(up.wait().0.success());
    page.wait_for("document.getElementById('feed').dataset.state === 'bad'");

    let last = page.evaluate("document.body.dataset.last").as_str().expect("a bar").to_owned();
    let again = Up::start(&[&arguments[..], &["--port", &port]].concat());
    assert!(again.url.ends_with(&port));
    page.wait_for("document.getElementById('feed').dataset.state === 'ok'");
    page.wait_for(&format!("document.body.dataset.last !== '{last}'"));
    page.wait_for("document.body.dataset.candles >= 3");

    // While the server was away the feed was too: the page says so, and why.
    page.wait_for("document.body.dataset.partial >= 1 && document.body.dataset.gaps >= 1");
    page.wait_for("document.body.dataset.lasting === '0'");
    let gaps = again.json("/api/v1/gaps/AAPL");
    let gap_end = gaps["gaps"].as_array().and_then(|gaps| gaps.last()?["gap_end"].as_i64());
    let gap_end = gap_end.expect("the gap has an end, since there are bars after it");
    // Unless the next window has begun meanwhile.
    page.wait_for(&format!(
        "Number(document.body.dataset.last.split('/')[0]) >= {gap_end} ||
         document.querySelector('#legend [data-verdict]').textContent.includes('gap')"
    ));
    page.evaluate("document.getElementById('explain-last').click()");
    page.wait_for("document.querySelectorAll('#explain-body .setter').length === 4");
    page.wait_for(&format!(
        "Number(document.body.dataset.explained) >= {gap_end} ||
         /partial( so far)?: the feed was away for/.test(document.body.innerText)"
    ));
    page.wait_for("/full right/.test(document.getElementById('explain-body').innerText)");
    page.screenshot(&pictures().join("explained.png"));
    page.resize(390, 844);
    page.wait_for("document.documentElement.scrollWidth <= 390");
    page.screenshot(&pictures().join("explained-phone.png"));
    page.evaluate("document.getElementById('explain-close').click()");
    page.wait_for("document.getElementById('explain').hidden");
    // Away on purpose: the only thing that the browser may remark on.
    page.complaints.retain(|one| !one.contains("net::ERR_"));
    assert_eq!(page.complaints, Vec::<String>::new());
}

/// Three windows of a regular session; the second has odd lots only, which set no price.
fn frames_with_a_volume_only_bar() -> String {
    const TEN_IN_NEW_YORK_MS: i64 = 1_709_650_800_000;
    let frame = |position: i64| {
        let time_ms = TEN_IN_NEW_YORK_MS + position * 10_000;
        let is_odd = (30..60).contains(&position);
        let (codes, size) = if is_odd { ("\"1\",\"12\"", 7) } else { ("\"1\"", 100 + position) };
        let price = 170.0 + (position % 7) as f64 / 10.0;
        let trade = format!(
            "{{\"c\":[{codes}],\"p\":{price},\"s\":\"AAPL\",\"t\":{time_ms},\"v\":{size}}}"
        );
        format!("{{\"data\":[{trade}],\"type\":\"trade\"}}\n")
    };
    (0..80).map(frame).collect()
}

#[test]
fn a_bar_without_prices_is_no_candle_at_zero() {
    let directory = tempfile::tempdir().expect("a directory");
    let frames = directory.path().join("frames.jsonl");
    std::fs::write(&frames, frames_with_a_volume_only_bar()).expect("written");
    let up = Up::start(&["--frames", frames.to_str().expect("text"), "--speed", "max"]);
    let mut page = Page::open(&up.url, 1_000, 700);
    page.wait_for(
        "document.body.dataset.candles === '2' && document.body.dataset.volumeOnly === '1'",
    );
    // On an axis that reached down to zero, candles of half a dollar at 170 would be flat lines.
    page.wait_for(&format!("{CANDLE_PIXELS} > 1500"));
    page.screenshot(&pictures().join("volume-only.png"));
    page.evaluate("document.getElementById('explain-last').click()");
    page.wait_for("document.querySelectorAll('#explain-body .setter').length === 4");
    page.screenshot(&pictures().join("volume-only-explained.png"));
    let bars = up.json("/api/v1/bars/AAPL?interval=5m");
    assert!(bars["bars"][1]["open"].is_null() && bars["bars"][1]["volume"] == 210.0, "{bars}");
    assert_eq!(page.complaints, Vec::<String>::new());
}

/// The browser asks its user once, and then sends the token with scripts, data and live stream.
#[test]
fn a_token_given_once_opens_the_page_and_its_live_stream() {
    const TOKEN: &str = "0123456789abcdef";
    let arguments = ["--symbols", "AAPL", "--rate", "50", "--history", "20m"];
    let up = Up::start_with(&arguments, &[("TICKSMITH__HTTP__TOKEN", TOKEN)]);
    let mut page = Page::open(&up.url, 1_000, 700);
    page.wait_for("document.getElementById('feed') === null");
    // What a user types into the browser's own window, given in the address for want of hands.
    page.go(&up.url.replace("http://", &format!("http://reader:{TOKEN}@")));
    page.wait_for("document.getElementById('feed') !== null");
    page.go(&up.url);
    page.wait_for("document.body.dataset.candles >= 3");
    page.wait_for("document.getElementById('feed').dataset.state === 'ok'");
    page.wait_for("document.querySelectorAll('#trades tr').length >= 5");
}
