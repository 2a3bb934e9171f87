//! Which room may know which, and where each vendor crate lives.

use crate::repository::Source;
use crate::scan;

/// Rooms and what they may name of ours. A room that is missing here is an error.
const ARROWS: [(&str, &[&str]); 18] = [
    ("model", &[]),
    ("error", &[]),
    ("engine", &["model", "error"]),
    ("codec", &["model", "error"]),
    ("port", &["model", "error"]),
    ("config", &["model", "error"]),
    ("runtime", &["port", "error"]),
    ("telemetry", &["model", "port", "config", "error"]),
    ("pipeline", &["model", "engine", "codec", "port", "config", "telemetry", "runtime", "error"]),
    ("kafka", ADAPTER),
    ("cassandra", ADAPTER),
    ("embedded", ADAPTER),
    ("registry", ADAPTER),
    ("websocket", ADAPTER),
    ("http", ADAPTER),
    ("cli", &["config", "telemetry", "role", "error"]),
    ("lib", &[]),
    ("main", &[]),
];

/// What an adapter may name: never another adapter, and never the engine.
const ADAPTER: &[&str] = &["model", "codec", "port", "config", "telemetry", "runtime", "error"];

/// Vendor crates and the rooms they live in. A dependency that is missing here is an error.
const HOMES: &[(&str, &[&str])] = &[
    ("apache_avro", &["codec"]),
    ("arrow_array", &["codec"]),
    ("arrow_ipc", &["codec"]),
    ("arrow_schema", &["codec"]),
    ("axum", &["http"]),
    ("base64", &["http", "registry"]),
    (
        "chrono",
        &["engine", "codec", "config", "cassandra", "embedded", "http", "websocket", "role"],
    ),
    ("chrono_tz", &["engine", "websocket"]),
    ("clap", &["cli", "role"]),
    ("compact_str", EVERYWHERE),
    ("csv", &["codec", "role"]),
    ("dotenvy", &["config"]),
    ("ethnum", &["model"]),
    ("figment", &["config"]),
    ("flate2", &["role", "websocket"]),
    ("futures_util", &["cassandra", "http", "websocket"]),
    ("libc", &["runtime"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_http", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("parquet", &["codec"]),
    ("prometheus", &["telemetry"]),
    ("rand", &["cassandra", "kafka", "runtime", "websocket", "role"]),
    ("rand_chacha", &["websocket"]),
    ("rdkafka", &["kafka"]),
    ("rusqlite", &["embedded"]),
    ("rustc_hash", EVERYWHERE),
    ("rustls", &["cassandra", "registry", "websocket"]),
    ("scylla", &["cassandra"]),
    ("serde", EVERYWHERE),
    ("serde_json", &["codec", "config", "cassandra", "registry", "websocket", "http", "role"]),
    ("serde_yaml_ng", &[]),
    ("sha2", &["http", "role"]),
    ("smallvec", &["model"]),
    ("strsim", &["config", "role"]),
    ("thiserror", &["error", "cassandra", "embedded", "kafka", "websocket"]),
    ("tokio", &["runtime", "kafka", "cassandra", "http", "websocket", "role"]),
    ("tokio_rustls", &[]),
    ("tokio_stream", &["http"]),
    ("tokio_tungstenite", &["websocket"]),
    ("tower_http", &["http"]),
    (
        "tracing",
        &[
            "telemetry",
            "runtime",
            "kafka",
            "cassandra",
            "embedded",
            "registry",
            "http",
            "websocket",
            "role",
        ],
    ),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
    ("ureq", &["http", "registry", "telemetry"]),
    ("webpki_roots", &["cassandra"]),
    ("yata", &["http"]),
    ("criterion", &[]),
    ("hdrhistogram", &[]),
    ("proptest", &[]),
    ("tempfile", &["role"]),
];

/// Plain vocabulary without I/O.
const EVERYWHERE: &[&str] = &[
    "model",
    "engine",
    "codec",
    "config",
    "pipeline",
    "kafka",
    "cassandra",
    "embedded",
    "registry",
    "websocket",
    "http",
    "telemetry",
    "role",
];

/// What `source` names against the arrows.
pub fn broken_arrows(source: &Source) -> Vec<String> {
    let room = source.room();
    if matches!(room, "role" | "lib" | "main") {
        return Vec::new();
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{}: room {room} has no row in the table of arrows", source.path)];
    };
    scan::rooms_named(&source.shipped, source.module_path().len())
        .into_iter()
        .filter(|named| named != room && is_room(named) && !allowed.contains(&named.as_str()))
        .map(|named| format!("{}: {room} may not know {named}", source.path))
        .collect()
}

fn is_room(name: &str) -> bool {
    name == "role" || ARROWS.iter().any(|(room, _)| *room == name)
}

/// The vendor crates that `source` uses away from their homes.
pub fn strangers(source: &Source) -> Vec<String> {
    let room = source.room();
    HOMES
        .iter()
        .filter(|(_, homes)| !homes.contains(&room))
        .filter(|(name, _)| scan::uses_crate(&source.shipped, name))
        .map(|(name, homes)| format!("{}: {name} lives in {}", source.path, homes.join(", ")))
        .collect()
}

/// Dependencies of the manifest without a row in the table, and rows without a dependency.
pub fn unlisted_crates(manifest: &str) -> Vec<String> {
    let mut in_dependencies = false;
    let mut declared = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| in_dependencies) {
            declared.push(name.trim().replace('-', "_"));
        }
    }
    let listed = |name: &str| HOMES.iter().any(|(home, _)| *home == name);
    let unlisted = declared.iter().filter(|name| !listed(name));
    let stale = HOMES.iter().filter(|(name, _)| !declared.iter().any(|known| known == name));
    unlisted
        .map(|name| format!("Cargo.toml: {name} has no row in the table of homes"))
        .chain(stale.map(|(name, _)| format!("table of homes: {name} is no dependency")))
        .collect()
}
