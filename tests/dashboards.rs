//! The Grafana dashboards and Prometheus' rules, read without either: whatever makes a panel come
//! out empty and shows in its text. `services_processes` runs every CQL statement on Cassandra, and
//! `make alerts` every query through promtool.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: impl AsRef<Path>) -> Value {
    serde_yaml_ng::from_str(&read(path)).expect("YAML")
}

fn files_of(directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(directory)).expect("a directory");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Name and content of each dashboard.
fn dashboards() -> Vec<(String, Value)> {
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let parsed = |path: &PathBuf| serde_json::from_str(&read(path)).expect("JSON");
    files_of("grafana/dashboards").iter().map(|path| (name(path), parsed(path))).collect()
}

fn list<'a>(node: &'a Value, key: &str) -> Vec<&'a Value> {
    node[key].as_array().map(|all| all.iter().collect()).unwrap_or_default()
}

fn text<'a>(node: &'a Value, key: &str) -> &'a str {
    node[key].as_str().unwrap_or_default()
}

/// Every panel, those in rows too.
fn panels(node: &Value) -> Vec<&Value> {
    let own = list(node, "panels");
    own.iter().flat_map(|panel| [vec![*panel], panels(panel)].concat()).collect()
}

/// Where it stands, and every query of panels and annotations, of one kind of data source.
fn queries<'a>(name: &str, dashboard: &'a Value, source: &str) -> Vec<(String, &'a Value)> {
    let mut found = Vec::new();
    for panel in panels(dashboard) {
        for target in list(panel, "targets") {
            let place = format!("{name}, '{}', {}", text(panel, "title"), text(target, "refId"));
            found.push((place, target, &target["datasource"]));
        }
    }
    for annotation in list(&dashboard["annotations"], "list") {
        let place = format!("{name}, annotation '{}'", text(annotation, "name"));
        found.push((place, &annotation["target"], &annotation["datasource"]));
    }
    found.retain(|(_, _, from)| text(from, "uid") == source);
    found.into_iter().map(|(place, target, _)| (place, target)).collect()
}

/// Data sources by uid, with their types.
fn provisioned() -> Vec<(String, String)> {
    let files = files_of("grafana/provisioning/datasources");
    let sources = files.into_iter().flat_map(|path| {
        let file = yaml(path);
        list(&file, "datasources").into_iter().cloned().collect::<Vec<_>>()
    });
    sources.map(|one| (text(&one, "uid").to_owned(), text(&one, "type").to_owned())).collect()
}

#[test]
fn the_data_sources_are_those_that_the_dashboards_name() {
    let expected =
        [("cassandra", "hadesarchitect-cassandra-datasource"), ("prometheus", "prometheus")];
    let found = provisioned();
    let pairs: Vec<(&str, &str)> = found.iter().map(|(uid, of)| (&**uid, &**of)).collect();
    assert_eq!(pairs, expected);
    let source = &yaml("grafana/provisioning/datasources/cassandra.yml")["datasources"][0];
    assert_eq!(source["url"], "${CASSANDRA_URL}");
    // Without it every query fails.
    assert_eq!(source["jsonData"]["consistency"], "LOCAL_ONE");
    assert_eq!(source["jsonData"]["keyspace"], "market");
    for (name, dashboard) in dashboards() {
        let variables = list(&dashboard["templating"], "list");
        let annotations = list(&dashboard["annotations"], "list");
        let targets: Vec<&Value> =
            panels(&dashboard).into_iter().flat_map(|panel| list(panel, "targets")).collect();
        for node in variables.into_iter().chain(annotations).chain(targets) {
            let source = &node["datasource"];
            let pair = (text(source, "uid"), text(source, "type"));
            assert!(expected.contains(&pair), "{name}: {node}");
        }
    }
}

#[test]
fn the_three_dashboards_are_there_and_their_panels_stand_apart() {
    let dashboards = dashboards();
    let names: Vec<&str> = dashboards.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["data-quality", "market", "pipeline"]);
    for (name, dashboard) in &dashboards {
        assert_eq!(text(dashboard, "uid"), name);
        assert!(dashboard["schemaVersion"].as_i64().is_some_and(|version| version >= 41));
        let panels = panels(dashboard);
        let ids: BTreeSet<i64> = panels.iter().filter_map(|panel| panel["id"].as_i64()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}: ids of panels");
        let mut taken = BTreeSet::new();
        for panel in panels {
            let title = text(panel, "title");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| {
                panel["gridPos"][side].as_i64().unwrap_or_else(|| panic!("{name}: {title}: {side}"))
            });
            assert!(x + w <= 24, "{name}: {title} is wider than the page");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}: {title} covers another panel");
            }
            let is_row = text(panel, "type") == "row";
            assert!(is_row || !text(panel, "description").is_empty(), "{name}: {title}");
            assert!(is_row || !list(panel, "targets").is_empty(), "{name}: {title} asks nothing");
        }
    }
}

#[test]
fn every_statement_is_one_that_the_data_source_takes() {
    let mut statements = 0;
    for (name, dashboard) in &dashboards() {
        for (place, target) in queries(name, dashboard, "cassandra") {
            statements += 1;
            assert_eq!(text(target, "queryType"), "query", "{place}");
            assert_eq!(target["rawQuery"], true, "{place}");
            check_statement(&place, text(target, "target"));
        }
    }
    assert!(statements > 15, "{statements}");
}

fn check_statement(place: &str, cql: &str) {
    assert!(cql.starts_with("SELECT symbol, "), "{place}: the first column names the series");
    // Macros have no parentheses; a day by the browser's clock is another day in Tokyo.
    for trap in ["$__timeFrom(", "$__timeTo(", "$__timeFilter", "${__from:date", "\n", ";"] {
        assert!(!cql.contains(trap), "{place}: {trap}");
    }
    let orders_many = cql.contains("ORDER BY") && cql.contains(" IN (");
    assert!(!orders_many, "{place}: Cassandra cannot page an ordered IN");
    let candles =
        ["open", "high", "low", "close"].iter().all(|one| cql.contains(&format!(" {one},")));
    assert!(!candles || cql.contains("AND open > 0 ALLOW FILTERING"), "{place}: null draws as 0");
    // It would draw one of them.
    assert!(!candles || cql.contains("symbol = '"), "{place}: candles of more than one symbol");
}

/// `lastNotNull` takes the last row, and rows of several partitions come in any order.
#[test]
fn what_takes_the_last_value_sorts_by_time_first() {
    for (name, dashboard) in &dashboards() {
        for panel in panels(dashboard) {
            let is_cassandra = text(&panel["datasource"], "uid") == "cassandra";
            let takes_one = text(panel, "type") == "stat";
            let sorted = list(panel, "transformations")
                .iter()
                .any(|one| one["id"] == "sortBy" && one["options"]["sort"][0]["field"] == "ts");
            let title = text(panel, "title");
            assert!(!(is_cassandra && takes_one) || sorted, "{name}: {title}");
        }
    }
}

#[test]
fn variables_are_queries_as_their_data_sources_want_them() {
    for (name, dashboard) in &dashboards() {
        let variables = list(&dashboard["templating"], "list");
        for variable in &variables {
            let query = text(&variable["query"], "query");
            match text(&variable["datasource"], "uid") {
                "cassandra" => assert_eq!(query, "SELECT symbol FROM market.symbols", "{name}"),
                _ => assert_eq!(query, "label_values(ticksmith_build_info, job)", "{name}"),
            }
            assert_eq!(text(variable, "definition"), query, "{name}");
            assert_eq!(variable["sort"], 1, "{name}: the data source gives them in any order");
        }
        let known: BTreeSet<&str> = variables.iter().map(|one| text(one, "name")).collect();
        let asked = dashboard["panels"].to_string() + &dashboard["annotations"].to_string();
        for variable in ["symbol", "symbols", "job"] {
            let used =
                [format!("'${variable}'"), format!("${{{variable}:"), format!("\"${variable}")]
                    .iter()
                    .any(|use_of| asked.replace("\\\"", "\"").contains(use_of));
            assert_eq!(used, known.contains(variable), "{name}: ${variable}");
        }
    }
}

/// Names of ours in a query, without what Prometheus appends to a histogram's.
fn metrics_in(query: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = query.split(|c| !is_name(c)).filter(|word| word.starts_with("ticksmith_"));
    names.map(str::to_owned).collect()
}

/// The labels of a metric, or of the histogram that a series belongs to.
fn labels_of(name: &str) -> Option<Vec<String>> {
    let catalogue = ticksmith::telemetry::catalogue();
    let parts = ["_bucket", "_sum", "_count"];
    let stem = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
    let found = catalogue.into_iter().find(|metric| metric.name == name || metric.name == stem);
    found.map(|metric| metric.labels)
}

/// Every metric exists, and so does every label that is grouped by or selected.
fn check_query(place: &str, query: &str) {
    let metrics = metrics_in(query);
    assert!(!metrics.is_empty(), "{place}: no metric of ours in {query}");
    let mut known: BTreeSet<String> =
        ["job", "instance", "le"].iter().map(|&label| label.to_owned()).collect();
    for metric in metrics {
        let labels = labels_of(&metric);
        known.extend(labels.unwrap_or_else(|| panic!("{place}: no metric is called {metric}")));
    }
    for label in labels_in(query) {
        assert!(known.contains(&label), "{place}: nothing in {query} has a label {label}");
    }
}

/// What stands behind `by`, `on` and `group_left`, and before `=` in braces.
fn labels_in(query: &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    for word in ["by (", "on (", "group_left ("] {
        for rest in query.split(word).skip(1) {
            let inner = rest.split(')').next().unwrap_or_default();
            labels.extend(inner.split(',').map(|label| label.trim().to_owned()));
        }
    }
    for rest in query.split('{').skip(1) {
        let inner = rest.split('}').next().unwrap_or_default();
        let selected = inner.split(',').filter_map(|one| one.split(['=', '!']).next());
        labels.extend(selected.map(|label| label.trim().to_owned()));
    }
    labels.retain(|label| !label.is_empty());
    labels
}

#[test]
fn every_query_of_the_dashboards_is_on_metrics_that_exist() {
    let mut count = 0;
    for (name, dashboard) in &dashboards() {
        for (place, target) in queries(name, dashboard, "prometheus") {
            let query = text(target, "expr");
            check_query(&place, query);
            let selected = query.matches("job=\"$job\"").count();
            assert!(selected >= metrics_in(query).len(), "{place}: adds up several jobs");
            check_legend(&place, query, text(target, "legendFormat"));
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}

/// A legend names what the query keeps: what it groups by, or all that the metric has.
fn check_legend(place: &str, query: &str, legend: &str) {
    let mut kept = labels_in(query);
    if !query.contains(" by (") {
        kept.extend(metrics_in(query).iter().filter_map(|name| labels_of(name)).flatten());
        kept.insert("instance".to_owned());
    }
    for label in legend.split("{{").skip(1) {
        let label = label.split("}}").next().unwrap_or_default();
        assert!(kept.contains(label), "{place}: the legend names {label}, which is not there");
    }
}

fn alerts() -> Vec<Value> {
    let file = yaml("prometheus/alerts.yml");
    let groups = list(&file, "groups").into_iter().cloned().collect::<Vec<_>>();
    groups.iter().flat_map(|group| list(group, "rules")).cloned().collect()
}

/// `FeedSilent` has the chapter `feed-silent`.
fn anchor_of(alert: &str) -> String {
    let mut anchor = String::new();
    for (place, c) in alert.char_indices() {
        if c.is_uppercase() && place > 0 {
            anchor.push('-');
        }
        anchor.extend(c.to_lowercase());
    }
    anchor
}

fn chapters_of_the_runbook() -> BTreeSet<String> {
    let runbook = std::fs::read_to_string(root().join("docs/RUNBOOK.md")).expect("a runbook");
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect()
}

#[test]
fn every_alert_is_on_metrics_that_exist_and_names_its_chapter_of_the_runbook() {
    let alerts = alerts();
    let chapters = chapters_of_the_runbook();
    let names: BTreeSet<&str> = alerts.iter().map(|rule| text(rule, "alert")).collect();
    assert_eq!(names.len(), alerts.len(), "names");
    for rule in &alerts {
        let name = text(rule, "alert");
        let query = text(rule, "expr");
        if name == "ProcessDown" {
            assert!(metrics_in(query).is_empty(), "it asks Prometheus itself");
        } else {
            check_query(name, query);
        }
        let severity = text(&rule["labels"], "severity");
        assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
        let annotations = &rule["annotations"];
        let expected = format!("docs/RUNBOOK.md#{}", anchor_of(name));
        assert_eq!(text(annotations, "runbook_url"), expected, "{name}");
        let has_chapter = chapters.contains(&anchor_of(name));
        assert!(has_chapter, "{name} has no chapter in docs/RUNBOOK.md");
        for key in ["summary", "description"] {
            assert!(!text(annotations, key).is_empty(), "{name}: no {key}");
        }
    }
}

/// Both ways: that it fires, and that it does not.
#[test]
fn every_alert_is_tried() {
    let tests = read("prometheus/alerts.test.yml");
    for rule in alerts() {
        let name = text(&rule, "alert").to_owned();
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} fires in no test");
    }
    assert!(tests.contains("exp_samples: []"), "nothing is tried in which no alert fires");
}

/// What is scraped is where the roles listen.
#[test]
fn prometheus_looks_where_the_roles_are() {
    let configured = yaml("prometheus/prometheus.yml");
    let targets_of = |name: &str| -> Vec<String> {
        let jobs = list(&configured, "scrape_configs");
        let job = jobs.iter().find(|job| job["job_name"] == name);
        let job = job.unwrap_or_else(|| panic!("no job {name}"));
        let targets = list(&job["static_configs"][0], "targets");
        targets.iter().map(|target| target.as_str().expect("a text").to_owned()).collect()
    };
    let config = ticksmith::config::Config::defaults();
    let (stream, producer, pages) =
        (config.stream.http_port, config.producer.http_port, config.http.port);
    let simulator = config.simulator.port;
    let containers = [
        format!("stream:{stream}"),
        format!("producer:{producer}"),
        format!("dashboard:{pages}"),
        format!("simulator:{simulator}"),
    ];
    assert_eq!(targets_of("ticksmith"), containers);
    let here = [stream, producer, pages].map(|port| format!("host.docker.internal:{port}"));
    assert_eq!(targets_of("ticksmith-host"), here);
}
