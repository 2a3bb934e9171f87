//! The page of the stream processor in the browser: it shows the figures that its own
//! API serves, follows them by itself, fits a phone, complains of nothing and asks nobody else.

use std::sync::Arc;

use serde_json::Value;
use ticksmith::config::{Config, Secret};
use ticksmith::http::{Server, StreamBoard};
use ticksmith::model::Tally;
use ticksmith::port::{BeatReport, Clock, Live, PartitionReport};
use ticksmith::runtime::SystemClock;

use crate::accessibility;
use crate::devtools::Page;
use crate::picture;

const SECRET: &str = "d0ntprintm3";

/// The board of a stream of six partitions, with its server.
struct Stream {
    board: StreamBoard,
    url: String,
    merged: i64,
}

impl Stream {
    fn start() -> Self {
        let mut config = Config::defaults();
        config.finnhub.api_key = Secret::new(SECRET);
        let board = StreamBoard::new(Arc::new(SystemClock), &config);
        let server = Server::bind(&config.http, 0, "--port").expect("a free port");
        let (url, router) = (server.url(), board.router());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(server.serve(router, std::future::pending()))
        });
        Self { board, url, merged: 0 }
    }

    /// A beat in which each partition reads a thousand trades; the last one is behind.
    fn beat(&mut self) {
        let now_ms = SystemClock.now_us() / 1_000;
        self.merged += 6_000;
        let tally = Tally { merged: self.merged, late: 7, ..Tally::default() };
        let partition = |partition: i32| PartitionReport {
            partition,
            next_offset: self.merged / 6,
            end_offset: self.merged / 6 + if partition == 5 { 1_000_000 } else { 0 },
            watermark_ms: (partition != 2).then_some(now_ms - 2_300),
            open_windows: 14,
            tally: Tally { merged: self.merged / 6, ..Tally::default() },
        };
        self.board.beat(&BeatReport {
            tally,
            partitions: (0..6).map(partition).collect(),
            lag_records: 1_000_000,
            symbols: 84,
            records: 6_000,
            beat_us: 1_000_000,
            flush_us: 41_000,
            commit_us: 12_000,
        });
    }

    fn figures(&self) -> Value {
        let mut answer = ureq::get(format!("{}/api/v1/state", self.url)).call().expect("figures");
        serde_json::from_str(&answer.body_mut().read_to_string().expect("text")).expect("JSON")
    }
}

/// What stands in a cell of the table of partitions.
fn cell(page: &mut Page, partition: usize, label: &str) -> String {
    let row = format!("document.querySelectorAll('#partitions tr')[{partition}]");
    let text = page.evaluate(&format!("{row}.querySelector('[data-label=\"{label}\"]').innerText"));
    text.as_str().expect("a text").to_owned()
}

/// As a person does, with the mouse.
fn click_summary(page: &mut Page) {
    page.evaluate("document.querySelector('summary').scrollIntoView({ block: 'center' })");
    let middle = page.evaluate(
        "(({ x, y, height }) => [x + 20, y + height / 2])(
           document.querySelector('summary').getBoundingClientRect())",
    );
    let [x, y] = [0, 1].map(|axis| middle[axis].as_f64().expect("a place"));
    page.click(x, y);
}

#[test]
fn the_page_shows_the_figures_of_the_api_and_follows_them() {
    let mut stream = Stream::start();
    let mut page = Page::open(&stream.url, 1_280, 900);
    page.wait_for("document.getElementById('status-text').textContent.includes('not ready')");
    page.wait_for("document.getElementById('reason').textContent === 'starting'");

    stream.board.ready(true, "");
    (0..3).for_each(|_| stream.beat());
    page.wait_for("document.querySelectorAll('#partitions tr').length === 6");
    page.wait_for("document.getElementById('status').dataset.state === 'ready'");
    let figures = stream.figures();
    assert_eq!(figures["partitions"][5]["state"], "behind");
    assert_eq!(cell(&mut page, 5, "Task"), "behind");
    assert_eq!(cell(&mut page, 5, "Lag"), "1,000,000");
    assert_eq!(cell(&mut page, 2, "Watermark (UTC)"), "–");
    let offset = figures["partitions"][0]["next_offset"].as_i64().expect("an offset");
    assert_eq!(cell(&mut page, 0, "Next offset").replace(',', ""), offset.to_string());
    assert_eq!(page.evaluate("document.querySelectorAll('#beats rect').length"), 6);
    page.wait_for("/84 symbols/.test(document.getElementById('tiles').innerText)");

    // By itself, without a reload.
    stream.beat();
    page.wait_for("document.querySelectorAll('#partitions tr')[0].innerText.includes('4,000')");
    stream.board.ready(false, "Cassandra is <away>");
    page.wait_for("document.getElementById('reason').textContent === 'Cassandra is <away>'");
    page.wait_for("document.querySelector('.task').textContent === 'waiting'");
    stream.board.ready(true, "");
    page.wait_for("document.getElementById('reason').hidden");

    click_summary(&mut page);
    page.wait_for("/allowed_lateness_ms/.test(document.getElementById('keys').innerText)");
    let keys = page.evaluate("document.getElementById('keys').innerText");
    let keys = keys.as_str().expect("text");
    assert!(keys.contains("***") && !keys.contains(SECRET), "{keys}");
    accessibility::equip(&mut page);
    assert_eq!(accessibility::serious(&mut page), Vec::<String>::new(), "1280 px");
    click_summary(&mut page);
    page.evaluate("scrollTo(0, 0)");
    picture(&mut page, "stream-dark");

    page.resize(390, 844);
    page.wait_for("document.documentElement.scrollWidth <= 390");
    assert_eq!(cell(&mut page, 5, "Task"), "behind");
    assert_eq!(accessibility::serious(&mut page), Vec::<String>::new(), "390 px");
    picture(&mut page, "stream-phone");

    assert_eq!(page.complaints, Vec::<String>::new());
    let outside: Vec<&String> =
        page.requests.iter().filter(|url| !url.starts_with(&stream.url)).collect();
    assert!(outside.iter().all(|url| url.starts_with("about:")), "{outside:?}");
}
