//! Every CQL statement of every Grafana dashboard, on real Cassandra with data in it.

use crate::harness::{World, with_steady_servers};

const BASE_MS: i64 = 1_710_184_800_000;
const SYMBOL: &str = "AAPL";

#[test]
fn every_panel_and_variable_of_the_dashboards_has_rows_that_grafana_can_draw() {
    let _servers = with_steady_servers();
    let world = World::prepared("dashboards");
    world.python("produce.py", &["--trades", "3000", "--base-ms", &BASE_MS.to_string()]);
    world.succeed(&["stream", "--until-end", "--drain"]);
    let (from, to) = (BASE_MS.to_string(), (BASE_MS + 105 * 60_000).to_string());
    let said = world.python("dashboards.py", &["--from", &from, "--to", &to, "--symbol", SYMBOL]);
    println!("{}", said.trim());
}
