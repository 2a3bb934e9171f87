//! Where everything is measured: a real Kafka and Cassandra on this machine, and the binary.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use crate::servers::{Servers, directory, environment};

/// Servers and binary.
pub struct Lab {
    pub kafka: String,
    /// `None`: not started.
    pub cassandra: Option<String>,
    pub servers: Servers,
    /// The servers' data directory.
    pub infra: PathBuf,
}

/// Names of one run: nothing is read or written twice.
#[derive(Debug, Clone)]
pub struct Names {
    /// Of the group, and part of every topic that is written.
    pub run: String,
    /// Of the topic that is read.
    pub trades: String,
}

impl Lab {
    /// What `scripts/with-services.sh` started; `None`: nothing.
    pub fn find() -> Option<Self> {
        let kafka = environment("TICKSMITH_TEST_KAFKA")?;
        let infra = directory()?;
        let servers = Servers::of(&infra)?;
        let cassandra = servers.cassandra.and_then(|_| environment("TICKSMITH_TEST_CASSANDRA"));
        Some(Self { kafka, cassandra, servers, infra })
    }

    /// The address of Cassandra.
    pub fn cassandra(&self) -> &str {
        self.cassandra.as_deref().expect("this part needs Cassandra")
    }

    /// `ticksmith` with `arguments` and these settings.
    pub fn command(&self, names: &Names, arguments: &[&str], settings: &Settings) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ticksmith"));
        let Names { run, trades } = names;
        command
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .env("TICKSMITH__KAFKA__BOOTSTRAP", &self.kafka)
            .env("TICKSMITH__KAFKA__GROUP", run)
            .env("TICKSMITH__TOPICS__TRADES", trades)
            .env("TICKSMITH__TOPICS__LEASES", format!("{run}-leases"))
            .env("TICKSMITH__STREAM__HTTP_PORT", "0")
            .env("TICKSMITH__PRODUCER__HTTP_PORT", "0")
            .env("TICKSMITH__LOG__LEVEL", "warn");
        for (key, name) in OUTPUTS {
            command.env(format!("TICKSMITH__TOPICS__{key}"), format!("{run}-{name}"));
        }
        if let Some(cassandra) = &self.cassandra {
            command.env("TICKSMITH__CASSANDRA__CONTACT_POINTS", cassandra);
        }
        command.envs(settings.iter().map(|(key, value)| (format!("TICKSMITH__{key}"), value)));
        command
    }

    /// Runs a command that prepares something.
    pub fn prepare(&self, names: &Names, command: &str, settings: &Settings) {
        let output = self.command(names, &[command], settings).output().expect("the binary runs");
        let problem = String::from_utf8_lossy(&output.stderr);
        // 1 = something is there with other settings, which is how the trades topic was made.
        let is_fine = output.status.code().is_some_and(|code| code <= 1);
        assert!(is_fine, "ticksmith {command}: {problem}");
    }

    /// Deletes topics, so that a long sitting does not fill the disk.
    pub fn delete(&self, topics: &[String]) {
        let mut config = ClientConfig::new();
        let admin: AdminClient<DefaultClientContext> =
            config.set("bootstrap.servers", &self.kafka).create().expect("a client");
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let deleted = runtime.expect("a runtime").block_on(admin.delete_topics(
            &names,
            &AdminOptions::new().operation_timeout(Some(Duration::from_secs(30))),
        ));
        deleted.expect("the broker answers");
    }
}

/// Configuration keys as the environment spells them, without `TICKSMITH__`.
pub type Settings<'a> = [(&'a str, &'a str)];

/// The topics that a stream writes: key of the configuration, and what its name ends with.
pub const OUTPUTS: [(&str, &str); 5] = [
    ("SILVER", "silver"),
    ("LATE", "late"),
    ("REJECTED", "rejected"),
    ("BARS", "bars"),
    ("CHANGELOG", "changelog"),
];

impl Names {
    pub fn new(run: impl Into<String>, trades: impl Into<String>) -> Self {
        Self { run: run.into(), trades: trades.into() }
    }

    /// The topic of an output.
    pub fn output(&self, name: &str) -> String {
        format!("{}-{name}", self.run)
    }

    pub fn outputs(&self) -> Vec<String> {
        let leases = self.output("leases");
        OUTPUTS.iter().map(|(_, name)| self.output(name)).chain([leases]).collect()
    }
}
