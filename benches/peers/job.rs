//! The jobs that are measured, and how each is started.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// Who makes the bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    Ticksmith,
    Flink,
    KafkaStreams,
    Spark,
}

/// How long outputs are kept: a hundred years. Flink and Kafka Streams give their records the time
/// of the trades, which lies years back, and a broker deletes by that time, every five minutes.
const KEPT_HOURS: &str = "876000";

/// Spark reaches into the JDK; these are what its own launcher passes on 17.
const SPARK_OPENS: [&str; 10] = [
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/sun.nio.ch",
];
/// Flink's, as its distribution's configuration has them.
const FLINK_OPENS: [&str; 4] =
    ["java.base/java.lang", "java.base/java.util", "java.base/java.time", "java.base/java.net"];

impl Job {
    pub const ALL: [Self; 4] = [Self::Ticksmith, Self::Flink, Self::KafkaStreams, Self::Spark];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ticksmith => "ticksmith",
            Self::Flink => "flink",
            Self::KafkaStreams => "kafka-streams",
            Self::Spark => "spark",
        }
    }

    /// JVM options; `benches/peers/README.md` says what else was tried.
    fn options(self) -> Vec<String> {
        let (heap, opens): (&str, &[&str]) = match self {
            Self::Ticksmith => return Vec::new(),
            Self::Flink => ("-Xmx1g", &FLINK_OPENS),
            Self::KafkaStreams => ("-Xmx1g", &[]),
            Self::Spark => ("-Xmx2g", &SPARK_OPENS),
        };
        let opens = opens.iter().map(|package| format!("--add-opens={package}=ALL-UNNAMED"));
        ["-XX:+UseParallelGC".to_owned(), heap.to_owned()].into_iter().chain(opens).collect()
    }
}

/// One pass of one job over one topic.
#[derive(Debug, Clone)]
pub struct Pass {
    pub job: Job,
    /// Names its group, its topics and its files; never used twice.
    pub name: String,
    pub trades: String,
    /// Into Cassandra too, in a keyspace of that name.
    pub keyspace: Option<String>,
}

impl Pass {
    pub fn bars(&self) -> String {
        format!("bars-{}", self.name)
    }
}

/// Where everything is.
#[derive(Debug)]
pub struct Place {
    pub binary: PathBuf,
    pub kafka: String,
    pub cassandra: String,
    /// Holds `JOB/JOB.jar` and `JOB/lib`.
    pub jars: PathBuf,
    /// For what jobs keep on disk.
    pub scratch: PathBuf,
}

impl Place {
    /// The command that runs the whole pass and ends.
    pub fn command(&self, pass: &Pass) -> Command {
        match pass.job {
            Job::Ticksmith => self.stream(pass),
            _ => self.peer(pass),
        }
    }

    /// Makes the topics of a pass, and its tables.
    pub fn prepare(&self, pass: &Pass) {
        let mut steps = vec!["topics"];
        steps.extend(pass.keyspace.is_some().then_some("cassandra-init"));
        for step in steps {
            let output = self.ticksmith(pass).arg(step).output().expect("the binary runs");
            let problem = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "ticksmith {step}: {problem}");
        }
    }

    fn stream(&self, pass: &Pass) -> Command {
        let mut command = self.ticksmith(pass);
        command.args(["stream", "--until-end"]);
        command
    }

    fn ticksmith(&self, pass: &Pass) -> Command {
        let mut command = Command::new(&self.binary);
        let store = if pass.keyspace.is_some() { "cassandra" } else { "none" };
        command
            .current_dir(&self.scratch)
            .env("TICKSMITH__KAFKA__BOOTSTRAP", &self.kafka)
            .env("TICKSMITH__KAFKA__GROUP", &pass.name)
            .env("TICKSMITH__TOPICS__TRADES", &pass.trades)
            .env("TICKSMITH__TOPICS__BARS", pass.bars())
            .env("TICKSMITH__TOPICS__CHANGELOG", format!("changelog-{}", pass.name))
            .env("TICKSMITH__TOPICS__OUTPUT_RETENTION_HOURS", KEPT_HOURS)
            .env("TICKSMITH__STREAM__SILVER_TOPIC", "false")
            .env("TICKSMITH__STREAM__STORE", store)
            .env("TICKSMITH__STREAM__HTTP_PORT", "0")
            .env("TICKSMITH__CASSANDRA__CONTACT_POINTS", &self.cassandra)
            .env("TICKSMITH__LOG__LEVEL", "warn");
        if let Some(keyspace) = &pass.keyspace {
            command.env("TICKSMITH__CASSANDRA__KEYSPACE", keyspace);
        }
        command
    }

    fn peer(&self, pass: &Pass) -> Command {
        let home = self.jars.join(pass.job.name());
        let jar = home.join(pass.job.name()).with_extension("jar");
        let state = self.scratch.join(&pass.name);
        let mut command = Command::new(java());
        command
            .args(pass.job.options())
            .arg("-cp")
            .arg(format!("{}:{}/*", jar.display(), home.join("lib").display()))
            .arg("ticksmith.peers.BarsJob")
            .env("PEER_KAFKA", &self.kafka)
            .env("PEER_TRADES", &pass.trades)
            .env("PEER_BARS", pass.bars())
            .env("PEER_NAME", &pass.name)
            .env("PEER_STATE", state);
        if let Some(keyspace) = &pass.keyspace {
            command.env("PEER_CASSANDRA", &self.cassandra).env("PEER_KEYSPACE", keyspace);
        }
        command
    }

    /// When a job had read everything, if it says so: Flink then waits for its next checkpoint,
    /// which is no work.
    pub fn end_of_input(&self, pass: &Pass) -> Option<SystemTime> {
        let mark = std::fs::metadata(self.scratch.join(&pass.name).join("end-of-input")).ok()?;
        mark.modified().ok()
    }

    /// The jobs whose jars were built.
    pub fn has(&self, job: Job) -> bool {
        job == Job::Ticksmith || Path::new(&self.jars).join(job.name()).join("lib").is_dir()
    }
}

/// As `scripts/infra.sh` looks for it: a JDK that is named, else the one of the path.
fn java() -> PathBuf {
    let named = ["TICKSMITH_JAVA_HOME", "JAVA_HOME"].iter().filter_map(std::env::var_os);
    let mut named = named.map(|home| Path::new(&home).join("bin/java"));
    named.find(|java| works(java)).unwrap_or_else(|| "java".into())
}

fn works(java: &Path) -> bool {
    let asked = Command::new(java).arg("-version").stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}
