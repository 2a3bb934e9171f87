//! Every CQL statement of every Grafana dashboard, and the explanation of every bar, on real
//! Cassandra with data in it: a tape with corrections and a feed that was away for 37 s.

use crate::harness::{World, with_steady_servers};

const BASE_MS: i64 = 1_710_184_800_000;
const SYMBOL: &str = "AAPL";

#[test]
fn dashboards_have_rows_that_grafana_can_draw_and_every_bar_is_explained() {
    let _servers = with_steady_servers();
    let world = World::prepared("dashboards");
    let base_ms = BASE_MS.to_string();
    world.python("produce.py", &["--trades", "3000", "--gap", "--base-ms", &base_ms]);
    world.succeed(&["stream", "--until-end", "--drain"]);
    let (from, to) = (base_ms, (BASE_MS + 105 * 60_000).to_string());
    let said = world.python("dashboards.py", &["--from", &from, "--to", &to, "--symbol", SYMBOL]);
    println!("{}", said.trim());
    for five_minutes in 0..21 {
        every_bar_is_explained(&world, BASE_MS / 1_000 + five_minutes * 300);
    }
}

fn every_bar_is_explained(world: &World, start_s: i64) {
    let at = (start_s + 60).to_string();
    let page = world.succeed(&["explain", "--symbol", SYMBOL, "--at", &at]);
    let is_open = page.contains("the window is open");
    assert!(is_open || page.contains("the bar follows from the"), "{page}");
    if start_s * 1_000 == BASE_MS + 40 * 60_000 {
        assert!(page.contains("partial: the feed was away for 37.0 s of 300 s"), "{page}");
        assert!(page.contains("37000 ms  disconnected"), "{page}");
        assert!(page.contains("reset by peer"), "{page}");
    }
}
