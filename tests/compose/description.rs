//! `docker-compose.yml` in one form, whether read from the file or from what either generation of
//! Compose prints of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[derive(Debug, PartialEq)]
pub struct Description {
    pub services: BTreeMap<String, Service>,
    /// Sorted.
    pub volumes: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub struct Service {
    pub image: String,
    pub is_built: bool,
    pub profiles: Vec<String>,
    pub restart: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    /// `None`: taken over from whoever starts it.
    pub environment: BTreeMap<String, Option<String>>,
    /// `host:port:port`.
    pub ports: Vec<String>,
    /// `source:target` or `source:target:ro`; sources in the repository begin with `./`.
    pub mounts: Vec<String>,
    /// Empty: none.
    pub health: Vec<String>,
    /// Service and condition.
    pub after: Vec<(String, String)>,
    pub memory_bytes: u64,
}

/// The file with its variables at their defaults and its anchors resolved.
pub fn file() -> Value {
    let text = std::fs::read_to_string(root().join("docker-compose.yml")).expect("the file");
    parsed(&with_defaults(&text))
}

fn parsed(text: &str) -> Value {
    let mut yaml: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).expect("YAML");
    yaml.apply_merge().expect("anchors of mappings");
    serde_json::to_value(yaml).expect("keys that are texts")
}

/// `${NAME:-default}` is its default.
fn with_defaults(text: &str) -> String {
    let mut parts = text.split("${");
    let mut plain = parts.next().expect("a first part").to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').expect("closed");
        let (_, default) = variable.split_once(":-").expect("a variable with a default");
        plain.push_str(default);
        plain.push_str(rest);
    }
    plain
}

impl Description {
    pub fn of_file() -> Self {
        Self::of(&file())
    }

    /// `None`: no Compose on this machine.
    pub fn of_compose() -> Option<Self> {
        let nothing = tempfile::NamedTempFile::new().expect("a file");
        let spoken = ["docker compose", "docker-compose"].into_iter().find_map(|command| {
            let mut words = command.split(' ');
            let output = Command::new(words.next()?)
                .args(words)
                .arg("--env-file")
                .arg(nothing.path())
                .args(["--profile", "full", "config"])
                .current_dir(root())
                .env_clear()
                .envs(
                    std::env::vars().filter(|(name, _)| ["PATH", "HOME"].contains(&name.as_str())),
                )
                .output()
                .ok()?;
            output.status.success().then_some(output.stdout)
        })?;
        Some(Self::of(&parsed(&String::from_utf8(spoken).expect("UTF-8"))))
    }

    fn of(file: &Value) -> Self {
        let services = file["services"].as_object().expect("services");
        let described = services.iter().map(|(name, one)| (name.clone(), Service::of(one)));
        let mut volumes: Vec<String> =
            file["volumes"].as_object().expect("volumes").keys().cloned().collect();
        volumes.sort_unstable();
        Self { services: described.collect(), volumes }
    }
}

impl Service {
    fn of(service: &Value) -> Self {
        let text = |key: &str| service[key].as_str().unwrap_or_default().to_owned();
        Self {
            image: text("image"),
            is_built: service["build"].is_object(),
            profiles: texts(&service["profiles"]),
            restart: text("restart"),
            entrypoint: texts(&service["entrypoint"]),
            command: texts(&service["command"]),
            environment: environment(&service["environment"]),
            ports: list(&service["ports"]).map(port).collect(),
            mounts: list(&service["volumes"]).map(mount).collect(),
            health: health(&service["healthcheck"]),
            after: after(&service["depends_on"]),
            memory_bytes: bytes(&service["mem_limit"]),
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).map(|one| one.as_str().expect("a text").to_owned()).collect()
}

/// Compose says `NONE` for a check that is disabled.
fn health(check: &Value) -> Vec<String> {
    let test = texts(&check["test"]);
    if test == ["NONE"] { Vec::new() } else { test }
}

fn environment(value: &Value) -> BTreeMap<String, Option<String>> {
    let variables = value.as_object().into_iter().flatten();
    variables.map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned))).collect()
}

fn after(value: &Value) -> Vec<(String, String)> {
    let services = value.as_object().into_iter().flatten();
    let mut after: Vec<(String, String)> = services
        .map(|(name, how)| (name.clone(), how["condition"].as_str().expect("a condition").into()))
        .collect();
    after.sort_unstable();
    after
}

/// The newer Compose spells ports out.
fn port(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.trim_end_matches("/tcp").to_owned(),
        None => format!(
            "{}:{}:{}",
            value["host_ip"].as_str().expect("an address"),
            value["published"].as_str().expect("a port"),
            value["target"]
        ),
    }
}

/// Compose makes paths absolute; the newer one spells mounts out.
fn mount(value: &Value) -> String {
    let text = match value.as_str() {
        Some(text) => text.trim_end_matches(":rw").to_owned(),
        None => {
            let text = |key: &str| value[key].as_str().expect("a path");
            let is_read_only = value["read_only"].as_bool().unwrap_or(false);
            let end = if is_read_only { ":ro" } else { "" };
            format!("{}:{}{end}", text("source"), text("target"))
        }
    };
    match text.strip_prefix(&format!("{}/", root().display())) {
        Some(path) => format!("./{path}"),
        None => text,
    }
}

/// `1g`, `512m`, or the bytes that the newer Compose makes of it.
fn bytes(value: &Value) -> u64 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (number, shift) = match text.strip_suffix(['g', 'm']) {
        Some(number) if text.ends_with('g') => (number, 30),
        Some(number) => (number, 20),
        None => (text.as_str(), 0),
    };
    number.parse::<u64>().map_or(0, |number| number << shift)
}
