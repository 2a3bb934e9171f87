//! From the layers to one `Config`: load, let the flags speak, validate.

use std::path::Path;

use figment::Figment;
use figment::providers::{Format, Toml};
use serde_json::{Map, Value};

use super::environment::Environment;
use super::layers::Layers;
use super::origin::{Origin, Origins};
use super::problem::{self, Problem};
use super::render::tree_of;
use super::{Config, DEFAULTS, validate};
use crate::error::Result;

impl Config {
    /// `config/default.toml` alone, as tests and offline commands start from it.
    pub fn defaults() -> Self {
        Layers::over(default_tree()).config().expect("the embedded defaults fit the type")
    }

    /// Defaults, `file`, `.env` in the working directory, the process environment, then `flags`;
    /// validated.
    ///
    /// # Errors
    /// `Config` with every problem at once.
    pub fn load(file: Option<&Path>, flags: impl FnOnce(&mut Self)) -> Result<Self> {
        let environment = Environment::read(Path::new("."), std::env::vars_os());
        RawConfig::read(file, &environment).with_flags(flags).validate()
    }
}

/// A configuration that nobody has checked yet, with the problems found so far.
#[derive(Debug)]
pub struct RawConfig {
    config: Config,
    problems: Vec<Problem>,
}

impl RawConfig {
    /// Reads the layers below the flags. What is wrong is kept for `validate`.
    pub fn read(file: Option<&Path>, environment: &Environment) -> Self {
        let mut layers = Layers::over(default_tree());
        if let Some(path) = file {
            let shown = path.display().to_string();
            match read_file(path, &shown) {
                Ok(tree) => layers.add_file(tree, &Origin::File(shown)),
                Err(problem) => layers.problems.push(*problem),
            }
        }
        layers.add_environment(environment);
        let config = layers.config().expect("each value was checked against the type alone");
        Self { config, problems: layers.problems }
    }

    /// Lets the flags of the command change it.
    #[must_use]
    pub fn with_flags(mut self, flags: impl FnOnce(&mut Config)) -> Self {
        let before = tree_of(&self.config);
        flags(&mut self.config);
        let after = tree_of(&self.config);
        note_flags(&mut self.config.origins, &before, &after);
        self
    }

    /// The one way to a `Config` that roles may use.
    ///
    /// # Errors
    /// `Config` with every problem at once, of all layers.
    pub fn validate(mut self) -> Result<Config> {
        self.problems.extend(validate::problems_of(&self.config));
        if self.problems.is_empty() {
            Ok(self.config)
        } else {
            Err(problem::into_error(&self.problems))
        }
    }
}

/// A leaf that differs from what it was before the flags came from one.
fn note_flags(origins: &mut Origins, before: &Map<String, Value>, after: &Map<String, Value>) {
    for (section, keys) in after {
        for (key, value) in keys.as_object().into_iter().flatten() {
            if before.get(section).and_then(|keys| keys.get(key)) != Some(value) {
                origins.set(&format!("{section}.{key}"), Origin::Flag);
            }
        }
    }
}

pub(super) fn default_tree() -> Map<String, Value> {
    Figment::from(Toml::string(DEFAULTS)).extract().expect("the embedded defaults are TOML")
}

fn read_file(path: &Path, shown: &str) -> std::result::Result<Map<String, Value>, Box<Problem>> {
    let refuse = |problem: String, remedy: &str| Box::new(Problem::of(shown, &problem, remedy));
    let text = std::fs::read_to_string(path).map_err(|error| {
        refuse(format!("cannot be read ({error})"), "give --config a readable TOML file")
    })?;
    Figment::from(Toml::string(&text))
        .extract()
        .map_err(|error| refuse(without_source_lines(&error.to_string()), "mend the file's syntax"))
}

/// The parser quotes the offending line, which may hold a key; position and reason are enough.
fn without_source_lines(text: &str) -> String {
    let quoted = |line: &&str| {
        line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|')
    };
    let lines: Vec<&str> = text.lines().filter(|line| !quoted(line)).map(str::trim).collect();
    lines.join(", ")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn load(file: &str, process: &[(&str, &str)]) -> Result<Config> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("given.toml");
        std::fs::write(&path, file).expect("written");
        let process: Vec<(OsString, OsString)> =
            process.iter().map(|(name, text)| (name.into(), text.into())).collect();
        let environment = Environment::read(directory.path(), process.into_iter());
        RawConfig::read(Some(&path), &environment).validate()
    }

    fn problem_of(file: &str, process: &[(&str, &str)]) -> String {
        load(file, process).expect_err("a problem").to_string()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(load("", &[]).expect("valid"), Config::defaults());
    }

    #[test]
    fn the_environment_beats_the_file_and_is_read_by_the_kind_of_the_default() {
        let file = "[simulator]\nrate = 7\n[kafka]\ngroup = \"file\"\n";
        let process = [
            ("TICKSMITH__KAFKA__GROUP", "123"),
            ("TICKSMITH__STREAM__INTERVALS", "1m, 5m"),
            ("TICKSMITH__STREAM__SILVER_TOPIC", "false"),
            ("TICKSMITH__KAFKA__PROPERTIES", r#"["a=1,2", "b=3"]"#),
            ("TICKSMITH__TOPICS__PARTITIONS", "12"),
        ];
        let config = load(file, &process).expect("valid");
        assert_eq!(config.simulator.rate, 7.0);
        assert_eq!(config.kafka.group, "123");
        assert_eq!(config.stream.intervals, ["1m", "5m"]);
        assert!(!config.stream.silver_topic);
        assert_eq!(config.kafka.properties, ["a=1,2", "b=3"]);
        assert_eq!(config.topics.partitions, 12);
    }

    #[test]
    fn every_problem_of_every_layer_is_listed_with_its_source_and_remedy() {
        let file = "level = \"info\"\n[kafka]\ngruop = \"x\"\nsession_timeout_ms = \"long\"\n\
                    [topics]\npartitions = 0\n[http]\nport = 70000\n[stream]\npolicy = \"sap\"\n\
                    store = \"casandra\"\n[cassandra]\npartitions = 3\n";
        let process = [("TICKSMITH__STREAM__BEAT_MS", "soon"), ("TICKSMITH_LOG_LEVEL", "debug")];
        let text = problem_of(file, &process);
        for expected in [
            "configuration: 10 problems\n",
            "level (file ",
            "kafka.gruop (file ",
            "there is no such key; did you mean kafka.group?",
            "kafka.session_timeout_ms = \"long\" (file ",
            "is not a whole number; give a whole number such as 45000",
            "topics.partitions = 0 (file ",
            "http.port = 70000",
            "give a whole number from 0 to 65535",
            "stream.policy = \"sap\"",
            "use auto, sip, conservative, all",
            "stream.store = \"casandra\"",
            "give `cassandra` or `none`",
            "cassandra.partitions (file ",
            "did you mean topics.partitions?",
            "stream.beat_ms = \"soon\" (environment, TICKSMITH__STREAM__BEAT_MS)",
            "TICKSMITH_LOG_LEVEL",
            "call it TICKSMITH__LOG__LEVEL",
        ] {
            assert!(text.contains(expected), "no {expected:?} in:\n{text}");
        }
    }

    #[test]
    fn values_that_exclude_each_other_are_found() {
        let cases = [
            ("[kafka]\ntransaction_timeout_ms = 45000", "is not below kafka.session_timeout_ms"),
            ("[stream]\ndrain_deadline_ms = 45000", "is not below kafka.session_timeout_ms"),
            ("[stream]\nintervals = [\"2m\", \"5m\"]", "no whole multiple"),
            ("[stream]\nintervals = [\"5m\", \"300s\"]", "holds 5m twice"),
            ("[stream]\nintervals = [\"5w\"]", "interval '5w'"),
            ("[stream]\nfuture_bound_ms = 62001", "out_of_orderness_ms + 60000 = 62000"),
            ("[stream]\nearliest = \"yesterday\"", "RFC 3339"),
            ("[stream]\nsymbol_classes = [\"BTCUSD\"]", "not SYMBOL=class"),
            ("[stream]\nsymbol_classes = [\"=fx\"]", "not SYMBOL=class"),
            ("[stream]\nsymbol_classes = [\"X=stock\"]", "classes are us_stock, crypto"),
            ("[stream]\nsymbol_classes = [\"X=fx\", \"X=other\"]", "holds 'X' twice"),
            ("[stream]\nsymbol_classes = [\"OANDA:*=other\"]", "prefix has a class already"),
            ("[stream]\nbatch_ms = 2000", "is more than stream.beat_ms"),
            ("[producer]\nheartbeat_every_ms = 90000", "is not below producer.silence_after_ms"),
            ("[finnhub]\nsymbols = []", "is empty"),
            ("[kafka]\nbootstrap = \"http://broker\"", "not host:port"),
            ("[kafka]\nproperties = [\"sasl.password\"]", "not name=value"),
            ("[kafka]\ncompression = \"lz5\"", "use none, gzip"),
            ("[cassandra]\nwrite_consistency = \"SOME\"", "use ONE"),
            ("[retention]\nbronze_days = 0", "time to live"),
            ("[topics]\nlate = \"bars\"", "another topic"),
            ("[log]\nlevel = \"verbose\"", "no log level"),
            ("[embedded]\nlog_retention_hours = 0", "may not be 0"),
            ("[kafka]\nsecurity_protocol = \"TLS\"", "give `PLAINTEXT`"),
            ("[kafka]\nsasl_mechanism = \"GSSAPI\"", "use PLAIN, SCRAM-SHA-256 or"),
            ("[kafka]\nsecurity_protocol = \"SASL_SSL\"", "3 problems"),
            ("[kafka]\nsasl_password = \"x\"", "PLAINTEXT does not log in; use SASL_SSL"),
            ("[kafka]\nssl_ca = \"/ca\"", "PLAINTEXT is without TLS; use SSL or SASL_SSL"),
            (
                "[kafka]\nsecurity_protocol = \"SSL\"\nssl_key = \"/k\"",
                "kafka.ssl_certificate = \"\": is empty, but kafka.ssl_key is set",
            ),
            (
                "[kafka]\nsecurity_protocol = \"SSL\"\nssl_key_password = \"x\"",
                "is set without kafka.ssl_key",
            ),
            ("[cassandra]\ntls_ca = \"/ca\"", "cassandra.tls is false; set it to true"),
            ("[cassandra]\ntls = true\ntls_certificate = \"/c\"", "cassandra.tls_key = \"\""),
            ("[http]\ntoken = \"short\"", "http.token = *** (file"),
            ("[http]\ntoken = \"a long one with spaces\"", "holds a space"),
        ];
        for (file, expected) in cases {
            let text = problem_of(file, &[]);
            assert!(text.contains(expected), "no {expected:?} in: {text}");
        }
    }

    #[test]
    fn a_secret_is_in_no_problem() {
        let files = [
            "[finnhub]\napi_key = s3cret",
            "[finnhub]\napi_key = 's3cret,s3cret'",
            "[finnhub]\napi_key = ['s3cret']",
            "[finnhub]\nurl = 'https://x?token=s3cret'",
            "[kafka]\nproperties = ['s3cret']",
            "[cassandra]\npassword = 's3cret'",
            "[kafka]\nsasl_password = 's3cret'",
            "[kafka]\nsasl_password = ['s3cret']",
            "[kafka]\nssl_key_password = 's3cret'",
            "[http]\ntoken = 's3cret'",
            "[simulator]\nkey = ['s3cret']",
        ];
        for file in files {
            let text = problem_of(file, &[]);
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn a_flag_is_noted_as_such() {
        let raw = RawConfig::read(None, &Environment::default());
        let config = raw.with_flags(|config| config.http.port = 1).validate().expect("valid");
        assert_eq!(config.origins.of("http.port"), Some(&Origin::Flag));
        assert_eq!(config.origins.of("http.bind"), None);
    }
}
