//! Lays file and environment over the defaults, leaf by leaf, so that every misspelt key and every
//! value of the wrong kind is found in one go.

use serde_json::{Map, Value};

use super::Config;
use super::environment::{Environment, PREFIX, real_keys};
use super::origin::{Origin, Origins};
use super::problem::Problem;

const API_KEY_PATH: &str = "finnhub.api_key";
/// Keys whose value is never shown.
const SECRET_PATHS: [&str; 6] = [
    API_KEY_PATH,
    "schema_registry.password",
    "cassandra.password",
    "kafka.sasl_password",
    "kafka.ssl_key_password",
    "http.token",
];

/// The tree under construction, always complete and always valid in kind.
pub(super) struct Layers {
    defaults: Map<String, Value>,
    merged: Map<String, Value>,
    pub origins: Origins,
    pub problems: Vec<Problem>,
}

impl Layers {
    pub fn over(defaults: Map<String, Value>) -> Self {
        let merged = defaults.clone();
        Self { defaults, merged, origins: Origins::default(), problems: Vec::new() }
    }

    /// The merged tree as a `Config`.
    pub fn config(&self) -> Result<Config, serde_json::Error> {
        let mut config: Config = serde_json::from_value(Value::Object(self.merged.clone()))?;
        config.origins = self.origins.clone();
        Ok(config)
    }

    /// Lays a parsed file over what there is.
    pub fn add_file(&mut self, tree: Map<String, Value>, origin: &Origin) {
        for (section, content) in tree {
            match content {
                Value::Object(keys) if self.defaults.contains_key(&section) => {
                    for (key, value) in keys {
                        self.set(&format!("{section}.{key}"), value, origin);
                    }
                }
                _ if self.defaults.contains_key(&section) => self.reject(
                    &section,
                    origin,
                    "is a section, not a value",
                    &format!("write [{section}] and its keys below"),
                ),
                _ => self.reject_unknown(&section, origin),
            }
        }
    }

    /// Lays the variables over what there is.
    pub fn add_environment(&mut self, environment: &Environment) {
        self.problems.extend(environment.problems.iter().cloned());
        for (name, (text, origin)) in &environment.variables {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                self.check_single_underscore(name, origin);
                continue;
            };
            let path = rest.to_ascii_lowercase().replacen("__", ".", 1);
            match self.default_of(&path).map(|default| parse_like(default, text)) {
                Some(Ok(value)) => self.set(&path, value, origin),
                Some(Err(())) => {
                    self.reject_kind(&path, shown(&path, &text.as_str().into()), origin)
                }
                None => self.reject_unknown(&path, origin),
            }
        }
        self.drop_placeholder_keys();
    }

    fn drop_placeholder_keys(&mut self) {
        if let Some(Value::String(text)) = leaf_mut(&mut self.merged, API_KEY_PATH) {
            *text = real_keys(text).join(",");
        }
    }

    fn default_of(&self, path: &str) -> Option<&Value> {
        let (section, key) = path.split_once('.')?;
        self.defaults.get(section)?.get(key)
    }

    fn set(&mut self, path: &str, value: Value, origin: &Origin) {
        let Some(default) = self.default_of(path) else {
            return self.reject_unknown(path, origin);
        };
        if !is_of_kind(default, &value) {
            return self.reject_kind(path, shown(path, &value), origin);
        }
        if let Err(expected) = self.check_alone(path, &value) {
            let value = shown(path, &value);
            let remedy = format!("give {expected}");
            self.problems.push(Problem {
                subject: path.to_owned(),
                value: Some(value),
                origin: Some(origin.clone()),
                problem: "is not possible here".into(),
                remedy,
            });
            return;
        }
        if let Some(leaf) = leaf_mut(&mut self.merged, path) {
            *leaf = value;
            self.origins.set(path, origin.clone());
        }
    }

    /// Whether the default configuration with only this value changed fits the type: finds numbers
    /// out of range and unknown words one by one. The error is what was expected.
    fn check_alone(&self, path: &str, value: &Value) -> Result<(), String> {
        let mut tree = self.defaults.clone();
        if let Some(leaf) = leaf_mut(&mut tree, path) {
            *leaf = value.clone();
        }
        let Err(error) = serde_json::from_value::<Config>(Value::Object(tree)) else {
            return Ok(());
        };
        let text = error.to_string();
        let expected = text.rsplit_once("expected ").map_or("another value", |(_, rest)| rest);
        Err(match expected.trim_start_matches("one of ") {
            "u16" => "a whole number from 0 to 65535".into(),
            "u32" => "a whole number from 0 to 4294967295".into(),
            "u64" | "usize" => "a whole number of 0 or more".into(),
            words => words.to_owned(),
        })
    }

    fn reject(&mut self, path: &str, origin: &Origin, problem: &str, remedy: &str) {
        self.problems.push(Problem::of(path, problem, remedy).set_by(origin));
    }

    fn reject_kind(&mut self, path: &str, value: String, origin: &Origin) {
        let default = self.default_of(path).unwrap_or(&Value::Null);
        let (kind, example) = match default {
            Value::Bool(_) => ("true or false", default.to_string()),
            Value::Number(number) if number.is_f64() => ("a number", default.to_string()),
            Value::Number(_) => ("a whole number", default.to_string()),
            Value::Array(_) => ("a list of texts", "[\"a\", \"b\"]".to_owned()),
            _ => ("a text", "\"…\"".to_owned()),
        };
        self.problems.push(Problem {
            subject: path.to_owned(),
            value: Some(value),
            origin: Some(origin.clone()),
            problem: format!("is not {kind}"),
            remedy: format!("give {kind} such as {example}"),
        });
    }

    fn reject_unknown(&mut self, path: &str, origin: &Origin) {
        let remedy = match self.nearest(path) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "`ticksmith config --defaults` lists every key".to_owned(),
        };
        self.reject(path, origin, "there is no such key", &remedy);
    }

    /// A variable with one underscore where two belong would be ignored in silence.
    fn check_single_underscore(&mut self, name: &str, origin: &Origin) {
        let flat = |path: &str| path.replace('.', "_").to_ascii_uppercase();
        let rest = name.trim_start_matches("TICKSMITH_");
        if let Some(path) = self.paths().into_iter().find(|path| flat(path) == rest) {
            let right = format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase());
            self.reject(name, origin, "is not read", &format!("call it {right}"));
        }
    }

    fn paths(&self) -> Vec<String> {
        let keys = |section: &Value| -> Vec<String> {
            section.as_object().map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
        };
        self.defaults
            .iter()
            .flat_map(|(name, section)| {
                keys(section).into_iter().map(move |key| format!("{name}.{key}"))
            })
            .chain(self.defaults.keys().cloned())
            .collect()
    }

    fn nearest(&self, path: &str) -> Option<String> {
        let key_of = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        let score = |candidate: &str| {
            let whole = strsim::jaro_winkler(candidate, path);
            let same_key = candidate.contains('.') && key_of(candidate) == key_of(path);
            if same_key { whole.max(0.97) } else { whole }
        };
        self.paths()
            .into_iter()
            .map(|candidate| (score(&candidate), candidate))
            .filter(|(score, _)| *score >= 0.85)
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, candidate)| candidate)
    }
}

fn leaf_mut<'a>(tree: &'a mut Map<String, Value>, path: &str) -> Option<&'a mut Value> {
    let (section, key) = path.split_once('.')?;
    tree.get_mut(section)?.get_mut(key)
}

/// A value as a problem shows it.
pub(super) fn shown(path: &str, value: &Value) -> String {
    if SECRET_PATHS.contains(&path) || may_hold_secret(path) {
        return "***".to_owned();
    }
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Values in which people put passwords although there is a better place.
fn may_hold_secret(path: &str) -> bool {
    matches!(path, "kafka.properties" | "finnhub.url" | "schema_registry.url" | "simulator.key")
}

fn is_of_kind(default: &Value, value: &Value) -> bool {
    match (default, value) {
        (Value::Bool(_), Value::Bool(_)) | (Value::String(_), Value::String(_)) => true,
        (Value::Number(default), Value::Number(value)) => default.is_f64() || !value.is_f64(),
        (Value::Array(_), Value::Array(items)) => items.iter().all(Value::is_string),
        _ => false,
    }
}

/// Reads a variable's text by the kind of the default.
fn parse_like(default: &Value, text: &str) -> Result<Value, ()> {
    let text = text.trim();
    match default {
        Value::Bool(_) => text.to_ascii_lowercase().parse::<bool>().map(Value::from).map_err(drop),
        Value::Number(number) if number.is_f64() => {
            let parsed: f64 = text.parse().map_err(drop)?;
            if parsed.is_finite() { Ok(Value::from(parsed)) } else { Err(()) }
        }
        Value::Number(_) => {
            let digits = text.replace('_', "");
            let unsigned = digits.parse::<u64>().map(Value::from);
            unsigned.or_else(|_| digits.parse::<i64>().map(Value::from)).map_err(drop)
        }
        // Texts with commas in them can be given as a JSON list.
        Value::Array(_) if text.starts_with('[') => serde_json::from_str(text).map_err(drop),
        Value::Array(_) => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(Value::from)
            .collect()),
        _ => Ok(Value::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::default_tree;
    use super::*;

    /// Every text is replaced by a known one; those that come out masked are the secrets.
    #[test]
    fn the_secret_paths_are_those_of_the_type() {
        let masked = |path: &String| {
            let mut tree = default_tree();
            let leaf = leaf_mut(&mut tree, path).expect("a key");
            if !leaf.is_string() {
                return false;
            }
            *leaf = "known".into();
            let config = serde_json::from_value::<Config>(Value::Object(tree));
            let shown = config.map(|config| serde_json::to_value(config).expect("JSON"));
            let (section, key) = path.split_once('.').expect("a key");
            shown.is_ok_and(|shown| shown[section][key] == "***")
        };
        let layers = Layers::over(default_tree());
        let keys = layers.paths().into_iter().filter(|path| path.contains('.'));
        let mut found: Vec<String> = keys.filter(masked).collect();
        let mut listed = SECRET_PATHS.map(str::to_owned);
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }
}
