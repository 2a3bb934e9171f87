//! The dashboard in a real headless browser, served by the real binary: candles are drawn and move,
//! nothing is complained of, and no request leaves the host.

#[path = "browser/devtools.rs"]
mod devtools;
#[path = "process/mod.rs"]
mod process;

use std::path::{Path, PathBuf};

use devtools::Page;
use process::Up;

const DARK: &str = "localStorage.setItem('theme', 'dark'); location.reload()";
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
      if (colours.some(([r, g, b]) => data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255)) pixels += 1;
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
    page.evaluate(DARK);
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
