//! The variables that concern us, from `.env` and the process, in the order in which they win.
//!
//! dotenvy's own loading keeps the first of two equal names; here the last one wins, so that
//! `echo "FINNHUB_API_KEY=…" >> .env` does what it says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Take};
use std::path::Path;

use super::origin::Origin;
use super::problem::Problem;

/// Every configuration variable begins with this.
pub(super) const PREFIX: &str = "TICKSMITH__";
/// The one variable with a name of its own.
const API_KEY_VARIABLE: &str = "FINNHUB_API_KEY";
/// The variable that it stands for.
const API_KEY_LONG_NAME: &str = "TICKSMITH__FINNHUB__API_KEY";

/// Far above what a person writes into a `.env`; what it says is held in memory.
const DOT_ENV_BYTES_MAX: u64 = 64 << 10;
const VALUE_BYTES_MAX: usize = 4_096;

/// Variables by name, each with its text and the layer that set it.
#[derive(Debug, Default)]
pub struct Environment {
    pub(super) variables: BTreeMap<String, (String, Origin)>,
    pub(super) problems: Vec<Problem>,
}

impl Environment {
    /// `.env` in `directory`, when there is one, under the variables of the process.
    pub fn read(directory: &Path, process: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        environment.read_dot_env(&directory.join(".env"));
        // Sorted, so that the outcome does not depend on the order of the process environment.
        let ours: BTreeMap<String, OsString> = process
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text)))
            .filter(|(name, _)| concerns_us(name))
            .collect();
        for (name, text) in ours {
            let origin = Origin::Environment(name.clone());
            match text.into_string() {
                Ok(text) => environment.set(name, text, origin),
                Err(_) => environment.problems.push(
                    Problem::of(name, "is not UTF-8 text", "set it to plain text").set_by(&origin),
                ),
            }
        }
        environment
    }

    fn read_dot_env(&mut self, path: &Path) {
        let text = match open_dot_env(path) {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(problem) => return self.problems.push(*problem),
        };
        let mut last = BTreeMap::new();
        for line in dotenvy::from_read_iter(text) {
            match line {
                // Names that stand for names could double it with every line.
                Ok((name, text)) if text.len() > VALUE_BYTES_MAX => {
                    let subject = format!(".env, the value of {name}");
                    let remedy = "give at most 4096 bytes, with all that a $ stands for";
                    self.problems.push(Problem::of(subject, "is too long", remedy));
                    break;
                }
                Ok((name, text)) => drop(last.insert(name, text)),
                Err(dotenvy::Error::LineParse(line, _)) => self.problems.push(Problem::of(
                    format!(".env, the line of {}", name_of(&line)),
                    "cannot be parsed",
                    "write NAME=value, with the value in '…' when it holds spaces, quotes or $",
                )),
                Err(_) => {
                    self.problems.push(Problem::of(
                        ".env",
                        "is not UTF-8 text",
                        "save it as UTF-8",
                    ));
                    break;
                }
            }
        }
        for (name, text) in last.into_iter().filter(|(name, _)| concerns_us(name)) {
            let origin = Origin::DotEnv(name.clone());
            self.set(name, text, origin);
        }
    }

    /// An API key that is not set leaves a lower layer's in place.
    fn set(&mut self, name: String, text: String, origin: Origin) {
        let is_key = name == API_KEY_VARIABLE || name == API_KEY_LONG_NAME;
        if is_key && real_keys(&text).is_empty() {
            return;
        }
        let name = if is_key { API_KEY_LONG_NAME.to_owned() } else { name };
        self.variables.insert(name, (text, origin));
    }
}

/// The text of `.env`, where there is one.
fn open_dot_env(path: &Path) -> Result<Option<Take<File>>, Box<Problem>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(_) => {
            let remedy = "make it readable or remove it";
            return Err(Box::new(Problem::of(".env", "cannot be read", remedy)));
        }
    };
    if file.metadata().is_ok_and(|about| about.len() > DOT_ENV_BYTES_MAX) {
        let remedy = "give a file of NAME=value lines";
        return Err(Box::new(Problem::of(".env", "is over 64 KiB", remedy)));
    }
    Ok(Some(file.take(DOT_ENV_BYTES_MAX)))
}

fn concerns_us(name: &str) -> bool {
    name == API_KEY_VARIABLE || name.starts_with("TICKSMITH_")
}

/// The name on a line that does not parse; never the value, which may be a secret.
fn name_of(line: &str) -> String {
    let name = line.split('=').next().unwrap_or_default().trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_ ".contains(&byte);
    if line.contains('=') && !name.is_empty() && name.bytes().all(plain) {
        name.to_owned()
    } else {
        "unknown name".to_owned()
    }
}

/// The keys of a comma list that are keys: placeholders of sample files count as not set.
pub(super) fn real_keys(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|key| !is_placeholder(key)).collect()
}

fn is_placeholder(key: &str) -> bool {
    const WORDS: [&str; 13] = [
        "your_key_here",
        "your_key",
        "your_api_key",
        "your_api_key_here",
        "your_finnhub_api_key",
        "your_finnhub_api_key_here",
        "changeme",
        "change_me",
        "replace_me",
        "placeholder",
        "api_key",
        "key",
        "none",
    ];
    let word = key.to_ascii_lowercase().replace('-', "_");
    let filler = |c: char| "x.…*?_".contains(c);
    WORDS.contains(&word.as_str())
        || word.chars().all(filler)
        || (word.starts_with('<') && word.ends_with('>'))
        || (word.starts_with("${") && word.ends_with('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dot_env: &str, process: &[(&str, &str)]) -> Environment {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(".env"), dot_env).expect("written");
        let process: Vec<_> =
            process.iter().map(|(name, text)| (name.into(), OsString::from(text))).collect();
        Environment::read(directory.path(), process.into_iter())
    }

    fn text_of(environment: &Environment, name: &str) -> Option<String> {
        environment.variables.get(name).map(|(text, _)| text.clone())
    }

    #[test]
    fn the_last_of_two_equal_names_in_dot_env_wins() {
        let text = "FINNHUB_API_KEY=your_key_here\nFINNHUB_API_KEY=first\nFINNHUB_API_KEY=second\n";
        let environment = read(text, &[]);
        assert_eq!(text_of(&environment, API_KEY_LONG_NAME).as_deref(), Some("second"));
    }

    #[test]
    fn the_process_beats_dot_env_unless_its_key_is_not_set() {
        let text = "FINNHUB_API_KEY=file\nTICKSMITH__KAFKA__GROUP=file\n";
        let environment =
            read(text, &[("FINNHUB_API_KEY", ""), ("TICKSMITH__KAFKA__GROUP", "process")]);
        assert_eq!(text_of(&environment, API_KEY_LONG_NAME).as_deref(), Some("file"));
        assert_eq!(text_of(&environment, "TICKSMITH__KAFKA__GROUP").as_deref(), Some("process"));
    }

    #[test]
    fn a_broken_line_is_named_without_its_value_and_the_rest_is_read() {
        let environment = read("FINNHUB_API_KEY='s3cret\nTICKSMITH__KAFKA__GROUP=g\n", &[]);
        assert_eq!(environment.problems.len(), 1, "{environment:?}");
        assert!(!environment.problems[0].to_string().contains("s3cret"));
    }

    #[test]
    fn values_that_double_and_files_that_do_not_end_are_refused() {
        let doubling = format!("A=xxxxxxxx\n{}", "A=${A}${A}\n".repeat(60));
        let endless = "A=x\n".repeat(20_000);
        for (text, words) in [(doubling, "the value of A"), (endless, "over 64 KiB")] {
            let environment = read(&text, &[]);
            assert_eq!(environment.problems.len(), 1, "{environment:?}");
            assert!(environment.problems[0].to_string().contains(words), "{environment:?}");
        }
    }

    #[test]
    fn placeholders_are_no_keys() {
        for text in ["", " ", "your_key_here", "changeme", "xxx", "XXXX", "<key>", "…", "...", ","]
        {
            assert!(real_keys(text).is_empty(), "{text}");
        }
        assert_eq!(real_keys("abc, <key>,def"), ["abc", "def"]);
    }
}
