//! The page of one symbol.

use serde_json::Value;

use crate::devtools::Page;
use crate::process::Up;
use crate::{CANDLE_PIXELS, number, picture, recordings, replay};

#[test]
fn the_dashboard_draws_candles_that_move() {
    let up = Up::start(&["--for", "300s", "--history", "8h", "--seed", "7"]);
    let mut page = Page::open(&up.url, 1_360, 850);
    page.wait_for("document.body.dataset.symbol === 'AAPL' && document.body.dataset.candles >= 80");

    // Really drawn, not only held in memory.
    page.wait_for(&format!("{CANDLE_PIXELS} > 1500"));

    // They move: the last candle changes, and is marked as provisional.
    let last = page.published("last");
    page.wait_for(&format!("document.body.dataset.last !== '{last}'"));
    page.wait_for(
        "/^provisional · closes in \\d/.test(document.querySelector('#legend .tag').textContent)",
    );
    page.wait_for("document.querySelectorAll('#trades tr').length >= 20");
    page.wait_for("document.querySelectorAll('#symbols .change:not(:empty)').length >= 10");
    page.wait_for("document.getElementById('feed').dataset.state === 'ok'");
    page.wait_for("document.body.dataset.indicators === 'sma20,vwap'");
    picture(&mut page, "dashboard");

    // Under the pointer a candle says which trades set it; a click explains it.
    page.point_at(560.0, 420.0);
    page.wait_for("document.querySelectorAll('#hover dt').length === 4");
    assert!(page.text("#hover").contains("set "), "{}", page.text("#hover"));
    picture(&mut page, "dashboard-hover");
    page.click(560.0, 420.0);
    page.wait_for("document.body.dataset.explained > 0");
    page.wait_for("document.querySelectorAll('#explain-body .setter').length === 4");
    page.wait_for("/follows from the/.test(document.getElementById('explain-body').innerText)");
    page.evaluate("document.querySelector('#explain-body details').open = true");
    picture(&mut page, "explained-live");
    page.press("Escape");
    page.wait_for("document.getElementById('explain').hidden");

    // The other interval, another symbol, found by searching.
    page.press("2");
    page.wait_for("document.body.dataset.interval === '1h' && document.body.dataset.candles >= 6");
    page.press("/");
    page.evaluate(
        "const box = document.getElementById('search'); box.value = 'btc';
         box.dispatchEvent(new Event('input'))",
    );
    page.press("Enter");
    page.wait_for("document.body.dataset.symbol === 'BINANCE:BTCUSDT'");
    page.press("1");
    page.wait_for("document.body.dataset.interval === '5m' && document.body.dataset.candles >= 80");
    page.wait_for(&format!("{CANDLE_PIXELS} > 1500"));
    assert!(page.evaluate("location.hash").as_str().expect("text").ends_with("BTCUSDT@5m"));

    page.press("t");
    page.wait_for("document.documentElement.dataset.theme === 'light'");
    page.wait_for(&format!("{CANDLE_PIXELS} > 1500"));
    page.wait_for("document.body.dataset.indicators === 'sma20,vwap'");
    picture(&mut page, "dashboard-light");
    page.resize(390, 844);
    page.wait_for("document.documentElement.scrollWidth <= 390");
    page.wait_for(&format!("{CANDLE_PIXELS} > 500"));
    picture(&mut page, "dashboard-phone");
    page.assert_quiet(&up.url);
}

#[test]
fn a_bar_without_prices_is_no_candle_at_zero() {
    let up = replay(recordings::with_a_volume_only_bar(), "max");
    let mut page = Page::open(&up.url, 1_000, 900);
    page.wait_for(
        "document.body.dataset.candles === '2' && document.body.dataset.volumeOnly === '1'",
    );
    // On an axis that reached down to zero, candles of half a dollar at 170 would be flat lines.
    page.wait_for(&format!("{CANDLE_PIXELS} > 1500"));
    let bars = up.json("/api/v1/bars/AAPL?interval=5m");
    assert!(bars["bars"][1]["open"].is_null() && bars["bars"][1]["volume"] == 210.0, "{bars}");

    // The keyboard goes from the newest bar to the one without prices.
    page.evaluate("document.getElementById('chart').focus()");
    page.press("ArrowLeft");
    page.press("ArrowLeft");
    let ts = &bars["bars"][1]["ts"];
    page.wait_for(&format!("document.getElementById('hover').dataset.ts === '{ts}'"));
    let card = page.text("#hover");
    assert!(card.contains("Volume only") && card.contains("210 in 30 trades"), "{card}");
    assert!(card.contains("odd lots 210 in 30"), "{card}");
    assert!(page.text("#spoken").contains("volume only"));
    picture(&mut page, "volume-only");
    page.press("Enter");
    page.wait_for("/no price/.test(document.getElementById('explain-body').innerText)");
    picture(&mut page, "volume-only-explained");
    page.assert_quiet(&up.url);
}

/// What the card under the cursor says, held against the API's bar.
fn assert_card_says(page: &mut Page, bar: &Value) {
    let ts = &bar["ts"];
    page.wait_for(&format!("document.getElementById('hover').dataset.ts === '{ts}'"));
    let card = page.text("#hover").replace(',', "");
    for column in ["open", "high", "low", "close"] {
        let price = bar[column].as_f64().expect("a price");
        assert!(card.contains(&format!("{price:.2}")), "{column} {price}: {card}");
    }
    let volume = bar["volume"].as_f64().expect("a volume");
    let shown = format!("{volume} in {} trades", bar["trade_count"]);
    assert!(card.contains(&shown), "{shown}: {card}");
}

#[test]
fn thirty_days_of_five_minutes_are_the_api_s() {
    const DAYS: i64 = 30;
    let frames = recordings::of_days("BINANCE:BTCUSDT", DAYS + 3);
    let up = replay(frames, "max");
    let all = usize::try_from((DAYS + 3) * 288).expect("a count");
    let newest_ms = recordings::TEN_IN_NEW_YORK_MS + (all as i64 - 1) * recordings::BAR_MS;
    let path = "/api/v1/bars/BINANCE:BTCUSDT?interval=5m&limit=";
    up.wait_for(&format!("{path}1"), |it| it["bars"][0]["ts"] == newest_ms);
    let mut bars = Vec::new();
    while bars.len() < all {
        let before =
            bars.first().map_or(newest_ms + 1, |bar: &Value| bar["ts"].as_i64().expect("a start"));
        let page = up.json(&format!("{path}2000&to={before}"));
        let page = page["bars"].as_array().expect("bars").clone();
        assert!(!page.is_empty(), "{} bars of {all}", bars.len());
        bars.splice(0..0, page);
    }

    let mut page = Page::open(&up.url, 1_360, 850);
    page.wait_for("document.body.dataset.candles >= 500");
    page.evaluate("[...document.querySelectorAll('#ranges button')].at(-1).click()");
    // Whole pages are read until the oldest bar is thirty days old; a debug build takes its time.
    page.wait_for("document.body.dataset.candles >= 30 * 288");
    let shown = usize::try_from(number(&page.published("candles"))).expect("a count");
    assert!(shown < all, "more is stored than is shown: {shown}");
    page.wait_for(&format!("{CANDLE_PIXELS} > 1500"));
    page.wait_for(&format!("document.body.dataset.indicated === '{}'", bars[all - 2]["ts"]));
    picture(&mut page, "dashboard-thirty-days");

    // Every so often along the way, from the oldest that is shown to the newest.
    page.evaluate("document.getElementById('chart').focus()");
    page.press("Home");
    assert_card_says(&mut page, &bars[all - shown]);
    for step in 1..=9 {
        page.press("PageDown");
        assert_card_says(&mut page, &bars[all - shown + 12 * step]);
    }
    page.press("End");
    assert_card_says(&mut page, &bars[all - 1]);
    page.assert_quiet(&up.url);
}

#[test]
fn indicators_show_the_server_s_values() {
    let up = replay(recordings::of_days("BINANCE:BTCUSDT", 2), "max");
    let path = "/api/v1/indicators/BINANCE:BTCUSDT?interval=5m&limit=1000";
    // The newest of the 576 windows is open, and has no say.
    let answer = up.wait_for(path, |it| it["values"].as_array().map(Vec::len) == Some(575));
    let last = answer["values"].as_array().and_then(|rows| rows.last()).expect("a row");
    let mut page = Page::open(&up.url, 1_360, 900);
    page.wait_for("document.body.dataset.candles === '500'");
    page.click_on("#indicators summary");
    page.evaluate(
        "document.querySelectorAll('#indicator-menu input').forEach((box) => {
           if (!box.checked) box.click();
         })",
    );
    page.wait_for("document.body.dataset.indicators.split(',').length === 11");
    page.wait_for(&format!("document.body.dataset.indicated === '{}'", last["ts"]));
    picture(&mut page, "indicator-menu");
    page.press("i");
    let key = page.text("#indicator-key").replace(',', "");
    for column in last.as_object().expect("an object").keys().filter(|name| *name != "ts") {
        let value = last[column].as_f64().expect("a value");
        let decimals = if column.starts_with("macd") { 3 } else { 2 };
        let shown = format!("{:.decimals$}", value.abs());
        assert!(key.contains(&shown), "{column} {shown}: {key}");
    }
    picture(&mut page, "dashboard-indicators");
    // What was chosen is still chosen.
    page.reload();
    page.wait_for("document.body.dataset.indicators.split(',').length === 11");
    page.assert_quiet(&up.url);
}

#[test]
fn a_correction_is_seen_to_happen() {
    // Two hours of the market in a bit more than a minute.
    let up = replay(recordings::with_corrections(), "100");
    let mut page = Page::open(&up.url, 1_360, 850);
    page.wait_for("document.body.dataset.flashed >= 1");
    picture(&mut page, "correction");
    page.wait_for(
        "/corrected: .*volume .* → /.test(document.getElementById('correction').textContent)",
    );
    page.assert_quiet(&up.url);
}
