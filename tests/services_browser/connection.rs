//! What the page does when the server goes away, comes back, or asks who is there.

use crate::devtools::Page;
use crate::picture;
use crate::process::Up;

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

    let last = page.published("last");
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
    picture(&mut page, "explained");
    page.resize(390, 844);
    page.wait_for("document.documentElement.scrollWidth <= 390");
    picture(&mut page, "explained-phone");
    page.evaluate("document.getElementById('explain-close').click()");
    page.wait_for("document.getElementById('explain').hidden");
    // Away on purpose: the only thing that the browser may remark on.
    page.complaints.retain(|one| !one.contains("net::ERR_"));
    page.assert_quiet(&again.url);
}

#[test]
fn what_was_shown_is_shown_again_after_a_reload() {
    let up = Up::start(&["--symbols", "AAPL,MSFT", "--rate", "50", "--history", "2h"]);
    let mut page = Page::open(&format!("{}/#MSFT@1h", up.url), 1_000, 700);
    page.wait_for("document.body.dataset.symbol === 'MSFT'");
    page.wait_for("document.body.dataset.interval === '1h' && document.body.dataset.candles >= 2");
    page.press("t");
    page.reload();
    page.wait_for("document.body.dataset.symbol === 'MSFT' && document.body.dataset.candles >= 2");
    assert_eq!(page.published("interval"), "1h");
    assert_eq!(page.evaluate("document.documentElement.dataset.theme"), "light");

    // Pages too, and the way back to the chart.
    page.press("p");
    page.wait_for("document.body.dataset.shown === 'pipeline'");
    page.reload();
    page.wait_for("document.body.dataset.shown === 'pipeline'");
    page.wait_for("/[1-9]/.test(document.querySelector('[data-key=merged] dd').textContent)");
    page.evaluate("history.back()");
    page.wait_for("document.body.dataset.shown === 'chart'");
    page.wait_for("document.body.dataset.symbol === 'MSFT' && document.body.dataset.candles >= 2");
    page.assert_quiet(&up.url);
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
