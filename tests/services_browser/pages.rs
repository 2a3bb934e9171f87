//! The pages of the market and of the pipeline.

use serde_json::Value;

use crate::devtools::Page;
use crate::process::Up;
use crate::{picture, recordings, replay};

/// The cells of the table's line of a symbol.
fn line(page: &mut Page, symbol: &str) -> Vec<String> {
    let link = format!("#{}", symbol.replace(':', "%3A"));
    let cells = page.evaluate(&format!(
        "[...document.querySelector('#market-rows a[href=\"{link}\"]').closest('tr').cells]
           .map((cell) => cell.innerText.trim())"
    ));
    let texts = cells.as_array().expect("cells").iter();
    texts.map(|cell| cell.as_str().unwrap_or_default().to_owned()).collect()
}

fn of<'a>(overview: &'a Value, symbol: &str) -> &'a Value {
    let mut symbols = overview["symbols"].as_array().expect("symbols").iter();
    symbols.find(|one| one["symbol"] == symbol).expect("the symbol")
}

#[test]
fn the_market_page_says_what_the_overview_says() {
    let up = replay(recordings::of_a_market(), "max");
    let last_ms = recordings::TEN_IN_NEW_YORK_MS + 288 * recordings::BAR_MS;
    let overview = up.wait_for("/api/v1/overview", |it| {
        let symbols = it["symbols"].as_array();
        symbols
            .is_some_and(|all| all.len() == 4 && all.iter().all(|one| one["last_time"] == last_ms))
    });
    let mut page = Page::open(&format!("{}/#/market", up.url), 1_360, 900);
    page.wait_for("document.body.dataset.overview === '4'");
    for symbol in ["BINANCE:UPUSDT", "BINANCE:DOWNUSDT", "BINANCE:MILDUSDT"] {
        let cells = line(&mut page, symbol);
        let day = of(&overview, symbol);
        let last = day["last"].as_f64().expect("a price");
        assert_eq!(cells[1].replace(',', ""), format!("{last:.2}"), "{symbol}: {cells:?}");
        let change = day["change_percent"].as_f64().expect("a change");
        let sign = if change < 0.0 { "−" } else { "+" };
        assert_eq!(cells[2], format!("{sign}{:.2} %", change.abs()), "{symbol}");
        assert_eq!(cells[5], day["trade_count"].to_string(), "{symbol}");
    }
    // Those that rose, the most first; what stood still is neither.
    assert!(page.text("#gainers").starts_with("UPUSDT"), "{}", page.text("#gainers"));
    assert_eq!(page.evaluate("document.querySelectorAll('#gainers li').length"), 2);
    assert_eq!(page.evaluate("document.querySelectorAll('#losers li').length"), 1);
    assert_eq!(page.evaluate("document.querySelectorAll('#heat .tile.up').length"), 2);

    // A click on a head sorts by it, another one turns it round.
    let first = "document.querySelector('#market-rows th').innerText.split('\\n')[0]";
    page.click_on("[data-column=change_percent] button");
    assert_eq!(page.evaluate(first), "UPUSDT");
    page.click_on("[data-column=change_percent] button");
    assert_eq!(page.evaluate(first), "DOWNUSDT");
    page.evaluate("document.querySelector('#losers a').click()");
    page.wait_for("document.body.dataset.symbol === 'BINANCE:DOWNUSDT'");
    page.wait_for("document.body.dataset.shown === 'chart'");
    page.assert_quiet(&up.url);
}

#[test]
fn the_pipeline_page_says_what_was_set_aside_and_why() {
    let up = replay(recordings::of_a_market(), "max");
    let state = up.wait_for("/api/v1/state", |it| {
        let counts = &it["counts"];
        [&counts["merged"], &counts["late"], &counts["rejected"]] == [4 * 289, 1, 2]
    });
    let mut page = Page::open(&format!("{}/#/pipeline", up.url), 1_360, 900);
    page.wait_for("document.querySelectorAll('#diverted tr').length === 2");
    for one in state["diverted"].as_array().expect("a list") {
        let disposition = one["disposition"].as_str().expect("text");
        let cells = page.text(&format!("#diverted [data-key={disposition}]"));
        let count = one["count"].to_string();
        assert!(cells.starts_with(disposition) && cells.ends_with(&count), "{cells}");
    }
    let diverted = page.text("#diverted");
    assert!(diverted.contains("the price is zero or below"), "{diverted}");
    assert!(diverted.contains("kept in trades-late"), "{diverted}");
    for (key, shown) in [("merged", "merged"), ("late", "late"), ("rejected", "rejected")] {
        let count = state["counts"][key].to_string();
        let text = page.text(&format!("#counts [data-key={shown}] dd")).replace(',', "");
        assert!(text.starts_with(&count), "{key}: {text}");
    }
    let partitions = state["partitions"].as_array().map(Vec::len);
    let lines = page.evaluate("document.querySelectorAll('#partitions tr').length");
    assert_eq!(lines.as_u64().and_then(|lines| usize::try_from(lines).ok()), partitions);
    assert_eq!(page.text("#vital-lag"), "0 records");
    page.assert_quiet(&up.url);
}

/// With everything moving, for the pictures; and by the keys that lead there.
#[test]
fn the_pages_move_with_the_market() {
    let up = Up::start(&["--for", "300s", "--history", "26h", "--seed", "11"]);
    let mut page = Page::open(&up.url, 1_360, 980);
    page.wait_for("document.body.dataset.candles >= 80");
    page.wait_for("document.getElementById('feed').dataset.state === 'ok'");
    // The past is over: the present is all that is left.
    let is_present =
        |it: &Value| it["lag_records"] == 0 && it["rates"]["merged"].as_f64() < Some(1_000.0);
    up.wait_for("/api/v1/state", is_present);
    page.press("m");
    page.wait_for("document.body.dataset.overview === '14'");
    let cells =
        "[...document.querySelectorAll('#market-rows tr')].map((row) => row.innerText).join()";
    let before = page.evaluate(cells).as_str().expect("text").to_owned();
    page.wait_for(&format!("{cells} !== {}", Value::from(before)));
    picture(&mut page, "dashboard-market");
    page.press("t");
    picture(&mut page, "market-light");
    page.resize(390, 844);
    page.wait_for("document.documentElement.scrollWidth <= 390");
    picture(&mut page, "dashboard-market-phone");
    page.resize(1_360, 900);
    page.press("p");
    page.press("t");
    page.wait_for("/[1-9]/.test(document.querySelector('[data-key=merged] dd').textContent)");
    page.wait_for(
        "document.querySelector('#trend-rate path:last-child').getAttribute('d').length > 120",
    );
    picture(&mut page, "dashboard-pipeline");
    page.press("?");
    page.wait_for("document.getElementById('help').open");
    picture(&mut page, "help");
    page.press("Escape");
    page.resize(390, 844);
    page.wait_for("document.documentElement.scrollWidth <= 390");
    picture(&mut page, "dashboard-pipeline-phone");
    page.press("c");
    page.wait_for("document.body.dataset.shown === 'chart'");
    page.assert_quiet(&up.url);
}
