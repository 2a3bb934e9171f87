//! The configuration as text: effective values for people and programs, and the reference page. All
//! of it follows the order and the sentences of `config/default.toml`, so there is one source.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::load::default_tree;
use super::{Config, DEFAULTS};

/// The values by section, secrets masked.
pub(super) fn tree_of(config: &Config) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(tree)) => tree,
        _ => unreachable!("a Config is a struct of plain values"),
    }
}

/// One line of the default file.
enum Line<'a> {
    Section(&'a str),
    Comment(&'a str),
    Key(&'a str),
    Blank,
}

fn lines() -> impl Iterator<Item = Line<'static>> {
    DEFAULTS.lines().map(|line| match line.trim() {
        "" => Line::Blank,
        line if line.starts_with('[') => Line::Section(line.trim_matches(['[', ']'])),
        line if line.starts_with('#') => Line::Comment(line.trim_start_matches(['#', ' '])),
        line => Line::Key(line.split('=').next().unwrap_or_default().trim()),
    })
}

/// TOML that can be given back with `--config` (but for masked secrets); each value that is not a
/// default says where it comes from.
pub fn to_toml(config: &Config) -> String {
    let tree = masked(config);
    let (mut text, mut section) = (String::new(), "");
    for line in lines() {
        match line {
            Line::Section(name) => {
                section = name;
                let gap = if text.is_empty() { "" } else { "\n" };
                text.push_str(&format!("{gap}[{name}]\n"));
            }
            Line::Key(key) => {
                let value = &tree[section][key];
                let origin = config.origins.of(&format!("{section}.{key}"));
                let note = origin.map(|origin| format!(" # {origin}")).unwrap_or_default();
                text.push_str(&format!("{key} = {}{note}\n", toml_value(value)));
            }
            Line::Comment(_) | Line::Blank => {}
        }
    }
    text
}

/// The same as one JSON object.
pub fn to_json(config: &Config) -> String {
    let tree = Value::Object(masked(config));
    let mut text = serde_json::to_string_pretty(&tree).unwrap_or_default();
    text.push('\n');
    text
}

/// The page `docs/CONFIGURATION.md`: every key, its default and its sentence.
pub fn to_markdown() -> String {
    let tree = default_tree();
    let mut text = String::from(MARKDOWN_HEAD);
    let (mut section, mut sentence) = ("", String::new());
    for line in lines() {
        match line {
            Line::Section(name) => {
                section = name;
                let _ = write!(text, "\n## {name}\n\n| key | default | meaning |\n|---|---|---|\n");
                sentence.clear();
            }
            Line::Comment(words) => {
                let gap = if sentence.is_empty() { "" } else { " " };
                sentence.push_str(gap);
                sentence.push_str(words);
            }
            Line::Key(key) => {
                let default = toml_value(&tree[section][key]);
                let cell = sentence.replace('|', "\\|");
                let _ = writeln!(text, "| `{section}.{key}` | `{default}` | {cell} |");
                sentence.clear();
            }
            Line::Blank => {}
        }
    }
    text
}

const MARKDOWN_HEAD: &str = "# Configuration

Generated from `config/default.toml` by `ticksmith config --format markdown`; a test compares both.

A value is taken from the last of these that sets it: the defaults below, the file given with
`--config`, `.env` in the working directory, the environment, the flags of a command. A variable is
called `TICKSMITH__SECTION__KEY`, for example `TICKSMITH__KAFKA__BOOTSTRAP=broker:9092`; a list is
written `a,b,c`. `FINNHUB_API_KEY` stands for `finnhub.api_key`. In `.env` the last of two equal
names wins. Unknown keys and impossible combinations are errors, and all are listed at once.

`ticksmith config` prints the values in effect and where each comes from; secrets are masked.
";

/// Beside the secrets that the type masks: passwords inside librdkafka settings and addresses.
fn masked(config: &Config) -> Map<String, Value> {
    let mut config = config.clone();
    for property in &mut config.kafka.properties {
        *property = masked_property(property);
    }
    for url in [&mut config.finnhub.url, &mut config.schema_registry.url] {
        *url = masked_url(url);
    }
    tree_of(&config)
}

fn masked_property(property: &str) -> String {
    const WORDS: [&str; 6] = ["password", "secret", "token", "key", "pem", "jaas"];
    match property.split_once('=') {
        Some((name, _)) if WORDS.iter().any(|word| name.to_ascii_lowercase().contains(word)) => {
            format!("{name}=***")
        }
        _ => property.to_owned(),
    }
}

fn masked_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split('?').next().unwrap_or_default();
    if host.len() == rest.len() { url.to_owned() } else { format!("{scheme}://***@{host}") }
}

/// JSON's texts, numbers and lists of texts are TOML's, but for the one control character that JSON
/// leaves bare.
fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string().replace('\u{7f}', "\\u007f"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_back() {
        let mut config = Config::defaults();
        config.kafka.group = "a \"quoted\" group".into();
        let text = to_toml(&config);
        let read: Config = toml_of(&text);
        assert_eq!(read.kafka.group, config.kafka.group);
        assert_eq!(read.stream, config.stream);
    }

    fn toml_of(text: &str) -> Config {
        use figment::providers::Format;
        figment::Figment::from(figment::providers::Toml::string(text)).extract().expect("TOML")
    }

    #[test]
    fn secrets_in_settings_and_addresses_are_masked() {
        let mut config = Config::defaults();
        config.finnhub.api_key = super::super::Secret::new("s3cret");
        config.kafka.properties = vec!["sasl.password=s3cret".into(), "linger.ms=5".into()];
        config.schema_registry.url = "https://user:s3cret@registry:8081".into();
        config.finnhub.url = "wss://ws.finnhub.io?token=s3cret".into();
        for text in [to_toml(&config), to_json(&config)] {
            assert!(!text.contains("s3cret"), "{text}");
            assert!(text.contains("linger.ms=5") && text.contains("registry:8081"), "{text}");
        }
    }

    #[test]
    fn the_reference_names_every_key() {
        let page = to_markdown();
        for (section, keys) in default_tree() {
            for key in keys.as_object().expect("a section").keys() {
                assert!(page.contains(&format!("| `{section}.{key}` |")), "{section}.{key}");
            }
        }
    }
}
