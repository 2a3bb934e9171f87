//! Files that a user hands over: configuration, `.env`, expected bars, recordings, sale conditions.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use clap::Parser;
use tempfile::TempDir;
use ticksmith::codec::csv::{read_bars, write_bars};
use ticksmith::config::{Config, Environment, Lifetimes, RawConfig, to_json, to_toml};
use ticksmith::engine::{ConditionTable, Policy};
use ticksmith::error::{Error, Result};
use ticksmith::model::{Conditions, Session};
use ticksmith::role::{verify, wiring};
use ticksmith::websocket::simulator::Recording;

use super::samples::{self, interval};

/// A file with these bytes, as long as the directory is held.
fn written(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    (directory, path)
}

/// A user's mistake has a sentence; nothing here may end in another error.
fn is_mended_by_the_user(error: &Error) -> bool {
    matches!(error, Error::Config(_) | Error::Differences(_)) && !error.to_string().is_empty()
}

/// What is valid must also be of use to the roles, and print.
fn use_config(validated: Result<Config>) {
    let mut config = match validated {
        Ok(config) => config,
        Err(error) => return assert!(is_mended_by_the_user(&error), "{error}"),
    };
    // A path of the input would be opened.
    config.stream.conditions_file.clear();
    assert!(!to_toml(&config).is_empty() && !to_json(&config).is_empty());
    wiring::schedule(&config);
    for error in [wiring::rules(&config).err(), Lifetimes::of(&config).err()] {
        assert!(error.is_none_or(|error| is_mended_by_the_user(&error)));
    }
}

pub fn config_file(bytes: &[u8]) {
    let (_directory, path) = written("given.toml", bytes);
    use_config(RawConfig::read(Some(&path), &Environment::default()).validate());
}

pub fn dot_env(bytes: &[u8]) {
    let (directory, _path) = written(".env", bytes);
    let environment = Environment::read(directory.path(), std::iter::empty());
    use_config(RawConfig::read(None, &environment).validate());
}

/// What `verify` compares with.
pub fn csv_bars(bytes: &[u8]) {
    for name in ["5m", "1s"] {
        let Ok(bars) = read_bars(bytes, "bars.csv", interval(name)) else { continue };
        for bar in bars.rows.values() {
            bar.is_empty_window();
            for value in bar.values.iter().flatten() {
                assert_eq!(value.to_string().parse().as_ref(), Ok(value), "its text reads back");
                black_box((value.to_f64(), value.to_i64(), value.places(), value.digits()));
            }
        }
    }
}

#[derive(Parser)]
struct Verify {
    #[command(flatten)]
    args: verify::Args,
}

fn verify_files(frames: &Path, bars: &Path, flags: &[&str]) {
    let (frames, bars) = (frames.display().to_string(), bars.display().to_string());
    let files = ["verify", "--frames", &frames, "--bars", &bars, "--interval", "5m"];
    let args = files.into_iter().chain(flags.iter().copied());
    let Verify { args } = Verify::try_parse_from(args).expect("arguments that are in order");
    let mut config = Config::defaults();
    args.apply(&mut config);
    let mut output = Vec::new();
    let ended = verify::run_into(args, config, &mut output);
    assert!(ended.as_ref().err().is_none_or(is_mended_by_the_user), "{ended:?}");
    let printed = ended.is_ok() || matches!(ended, Err(Error::Differences(_)));
    assert_eq!(printed, !output.is_empty());
}

/// Frames and, behind the first zero byte, the bars that `verify` compares them with.
pub fn jsonl_trades(bytes: &[u8]) {
    let cut = bytes.iter().position(|byte| *byte == 0);
    let (frames, bars) = cut.map_or((bytes, &[][..]), |at| (&bytes[..at], &bytes[at + 1..]));
    let mut expected = Vec::new();
    write_bars(&[samples::bar()], &mut expected).expect("written");
    expected.extend_from_slice(bars);
    let (_frames, frames) = written("frames.jsonl", frames);
    let (_bars, bars) = written("bars.csv", &expected);
    let flags = [["--symbol", "AAPL"], ["--json", "--drop-repeats"]];
    verify_files(&frames, &bars, &flags[bytes.len() % 2]);
}

/// What `simulate --frames` replays, plain or gzip.
pub fn frames_file(bytes: &[u8]) {
    let (_directory, path) = written("frames.jsonl", bytes);
    if let Err(error) = Recording::open(&path) {
        assert!(is_mended_by_the_user(&error), "{error}");
    }
}

/// A table of one's own, and codes judged by it: its text once more, cut at its commas.
pub fn condition_table(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let table = match ConditionTable::parse(&text, "mine.csv") {
        Ok(table) => table,
        Err(error) => return assert!(is_mended_by_the_user(&error), "{error}"),
    };
    assert!(table.version() > 0);
    let codes: Conditions = text.split([',', '\n']).take(64).map(Into::into).collect();
    for policy in [Policy::Sip, Policy::Conservative, Policy::All] {
        for session in Session::ALL {
            table.judge(&codes, policy, *session);
        }
        table.unknown(&codes, policy).for_each(|code| assert!(codes.contains(code)));
    }
    assert!(codes.iter().filter_map(|code| table.name(code)).all(|name| text.contains(name)));
}
