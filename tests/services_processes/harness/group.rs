//! A group of stream processes and what they read: backlogs, one after the other.

use super::process::Process;
use super::{World, eventually};

const BASE_MS: i64 = 1_710_184_800_000;
const TWO_HOURS_MS: i64 = 7_200_000;
/// Of a stranger, who numbers them from here on.
const FIRST_CONNECTION: i64 = 1_700_000_000_000_001;
const TRADES: i64 = 6_000;
pub const PARTITIONS: usize = 6;

/// The world of a group whose members are missed within seconds.
pub struct Group {
    pub world: World,
    backlogs: i64,
}

impl Group {
    /// Small beats, so that there are many transactions to a backlog.
    pub fn new(case: &str) -> Self {
        let mut world = World::prepared(case);
        let settings = [
            ("STREAM__BEAT_RECORDS", "100"),
            ("STREAM__BATCH_RECORDS", "20"),
            ("STREAM__DRAIN_DEADLINE_MS", "2500"),
            ("STREAM__HTTP_PORT", "0"),
            ("KAFKA__SESSION_TIMEOUT_MS", "4000"),
            ("KAFKA__TRANSACTION_TIMEOUT_MS", "3000"),
        ];
        settings.iter().for_each(|(key, value)| world.set(key, value));
        Self { world, backlogs: 0 }
    }

    pub fn start(&self, settings: &[(&str, String)]) -> Process {
        self.world.start_with(&["stream"], settings)
    }

    /// Trades of two hours more, all at once.
    pub fn add_backlog(&mut self) {
        let base_ms = (BASE_MS + self.backlogs * TWO_HOURS_MS).to_string();
        let connection = (FIRST_CONNECTION + self.backlogs).to_string();
        let trades = TRADES.to_string();
        let arguments = ["--again", "50", "--base-ms", &base_ms, "--connection", &connection];
        self.world.python("produce.py", &[&arguments[..], &["--trades", &trades]].concat());
        self.backlogs += 1;
    }

    /// Adds a backlog, waits until a part of it was committed, and lets `strike` happen.
    pub fn strike_in_mid_flow<T>(&mut self, strike: impl FnOnce(&Self) -> T) -> T {
        let observer = self.world.observer();
        let ends = || observer.ends().map(|ends| ends.values().sum::<i64>());
        let before = self.world.wait_for_commits(0);
        self.add_backlog();
        let end = eventually("the end of the backlog", ends);
        let committed = self.world.wait_for_commits(before + TRADES / 6);
        assert!(committed < end, "all of the backlog was committed before anything happened");
        strike(self)
    }

    /// All is read, and the topics and tables are those of the oracle.
    pub fn settle(&self) {
        self.world.wait_until_read();
        self.world.check(&[]);
    }

    /// Ends the members cleanly, reads what is left alone, and judges everything.
    pub fn finish(&self, members: impl IntoIterator<Item = Process>) {
        self.world.wait_until_read();
        for member in members {
            let ended = member.terminate();
            assert_eq!(ended.code(), 0, "stream after SIGTERM:\n{}", ended.said);
        }
        self.drain(&[&[]]);
        self.judge(&[]);
    }

    /// One process for each of the settings; together they read what is left.
    pub fn drain(&self, settings: &[&[(&str, String)]]) {
        let fast = [("STREAM__BEAT_RECORDS", "20000".into())];
        let start = |one: &&[(&str, String)]| {
            let settings = [&fast[..], one].concat();
            self.world.start_with(&["stream", "--until-end", "--drain"], &settings)
        };
        let started: Vec<Process> = settings.iter().map(start).collect();
        for process in started {
            let ended = process.wait();
            assert_eq!(ended.code(), 0, "stream --until-end --drain:\n{}", ended.said);
        }
    }

    /// Everything is in the topics and tables.
    pub fn judge(&self, more: &[&str]) {
        let wanted = "merged,late,bar corrected,bar provisional";
        self.world.check(&[&["--drained", "--expect", wanted], more].concat());
    }
}

/// How many partitions each assignment of a process had, in their order.
pub fn assignments(said: &str) -> Vec<usize> {
    let of_group = said.lines().filter(|line| line.contains("partitions assigned"));
    let list = |line: &str| {
        let (_, list) = line.split_once('[')?;
        Some(list.split_once(']')?.0.split(',').filter(|one| !one.trim().is_empty()).count())
    };
    of_group.filter_map(list).collect()
}

/// Waits until a process owns so many partitions, and has restored them.
pub fn wait_until_owner(process: &mut Process, partitions: usize) {
    wait_until_owner_again(process, partitions, 0);
}

/// The same, by an assignment after the first so many.
pub fn wait_until_owner_again(process: &mut Process, partitions: usize, before: usize) {
    process.wait_for(&format!("that it owns {partitions} partitions"), |said| {
        let owned = assignments(said);
        let is_owner = owned.len() > before && owned.last() == Some(&partitions);
        let (_, since) = said.rsplit_once("partitions assigned")?;
        let restored = since
            .lines()
            .filter(|line| line.contains(" restored ") && line.contains("windows="))
            .count();
        (is_owner && restored >= partitions).then_some(())
    });
}
