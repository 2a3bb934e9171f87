//! A session with the cluster, the threads it runs on, and what its errors mean to us.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::Consistency;
use scylla::value::CqlTimestamp;
use tokio::runtime::Runtime;

use super::tls;
use crate::config::Cassandra;
use crate::error::{Error, Result};

const DEFAULT_PORT: u16 = 9_042;
/// A contact point that does not take a connection within this is absent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Nor does a cluster exist that has not told its layout within this.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// One session, shared by clones.
#[derive(Clone)]
pub struct Connection {
    session: Arc<Session>,
    runtime: Arc<Threads>,
    /// `host:port, …` and keyspace, for messages.
    pub(super) contact_points: Arc<str>,
    pub(super) keyspace: Arc<str>,
    pub(super) write_consistency: Consistency,
    pub(super) read_consistency: Consistency,
}

/// The driver's threads. Dropping a runtime blocks, which async callers must not; so it is told to
/// end and left alone.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Connection {
    /// Connects; waits at most ten seconds. Blocks, as every call of this room does: not for
    /// threads that run async tasks.
    ///
    /// # Errors
    /// `Unavailable` when no contact point answers, or the login or a certificate is refused;
    /// `Config` for values that are none and files that cannot be used.
    pub fn open(config: &Cassandra) -> Result<Self> {
        let write_consistency = consistency("write_consistency", &config.write_consistency)?;
        let read_consistency = consistency("read_consistency", &config.read_consistency)?;
        let points = contact_points(&config.contact_points)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cassandra")
            .enable_all()
            .build()
            .map_err(|error| Error::Unavailable(format!("no threads for Cassandra: {error}")))?;
        let shown = points.join(", ");
        let tls = if config.tls { Some(tls::client_config(config, &points)?) } else { None };
        let session = runtime
            .block_on(open_session(config, &points, tls))
            .map_err(|problem| refused(&shown, config, &problem))?;
        Ok(Self {
            session: Arc::new(session),
            runtime: Arc::new(Threads(Some(runtime))),
            contact_points: shown.into(),
            keyspace: config.keyspace.as_str().into(),
            write_consistency,
            read_consistency,
        })
    }

    /// Wall clock of the node that answers, ms since the epoch.
    ///
    /// # Errors
    /// `Unavailable` when none does.
    pub fn server_time_ms(&self) -> Result<i64> {
        let rows = self.select::<(CqlTimestamp,)>("SELECT toTimestamp(now()) FROM system.local")?;
        let row =
            rows.first().ok_or_else(|| Error::Bug("a node without a row of itself".into()))?;
        Ok(row.0.0)
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Waits for `future` on the driver's threads.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle().block_on(future)
    }

    pub(super) fn handle(&self) -> tokio::runtime::Handle {
        self.runtime.0.as_ref().expect("the threads live as long as a connection").handle().clone()
    }

    /// All rows of a small query without values.
    pub(super) fn select<R>(&self, text: &str) -> Result<Vec<R>>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let answer = self.block_on(self.session.query_unpaged(text, ()));
        let answer = answer.map_err(|problem| self.failed("a query", &problem))?;
        let unreadable =
            |problem: &dyn std::fmt::Display| Error::Bug(format!("answer to {text}: {problem}"));
        let rows = answer.into_rows_result().map_err(|problem| unreadable(&problem))?;
        let rows = rows.rows::<R>().map_err(|problem| unreadable(&problem))?;
        rows.collect::<std::result::Result<_, _>>().map_err(|problem| unreadable(&problem))
    }

    /// Changes the schema; returns when all nodes agree on it.
    pub(super) fn change(&self, what: &str, text: &str) -> Result<()> {
        let answer = self.block_on(self.session.query_unpaged(text, ()));
        answer.map(drop).map_err(|problem| self.failed(what, &problem))
    }

    /// The error of a request, named by what has to be done about it.
    pub(super) fn failed(&self, what: &str, problem: &ExecutionError) -> Error {
        self.name(what, is_permanent(problem), &problem.to_string())
    }

    /// The error of preparing a statement.
    pub(super) fn not_prepared(&self, what: &str, problem: &PrepareError) -> Error {
        let permanent = match problem {
            PrepareError::AllAttemptsFailed { first_attempt } => {
                is_permanent_attempt(first_attempt)
            }
            _ => false,
        };
        self.name(what, permanent, &problem.to_string())
    }

    fn name(&self, what: &str, permanent: bool, problem: &str) -> Error {
        let (points, keyspace) = (&self.contact_points, &self.keyspace);
        let problem = one_line(problem);
        if permanent {
            return Error::Config(format!(
                "{what} of keyspace '{keyspace}' on {points}: {problem}; check the tables with \
                 `ticksmith cassandra-init`"
            ));
        }
        Error::Unavailable(format!(
            "Cassandra at {points}, {what}: {problem}; it will be tried again"
        ))
    }
}

async fn open_session(
    config: &Cassandra,
    points: &[String],
    tls: Option<Arc<ClientConfig>>,
) -> std::result::Result<Session, String> {
    let mut balancing = DefaultPolicy::builder().token_aware(true);
    if !config.datacenter.is_empty() {
        balancing = balancing.prefer_datacenter(config.datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .request_timeout(Some(Duration::from_millis(config.request_timeout_ms)))
        .load_balancing_policy(balancing.build())
        // Retries are ours: bounded in time, counted, and the same for one node and for many.
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(points)
        .tls_context(tls)
        .connection_timeout(CONNECT_TIMEOUT)
        .keyspaces_to_fetch([config.keyspace.as_str()])
        .default_execution_profile_handle(profile.into_handle());
    if !config.username.is_empty() {
        builder = builder.user(&config.username, config.password.reveal());
    }
    match tokio::time::timeout(OPEN_TIMEOUT, builder.build()).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(problem)) => Err(problem.to_string()),
        Err(_) => Err(format!("no answer within {} s", OPEN_TIMEOUT.as_secs())),
    }
}

fn refused(points: &str, config: &Cassandra, problem: &str) -> Error {
    let problem = one_line(problem);
    // The driver wraps the cause in the story of how it was met.
    let cause = problem.rsplit("failed with: ").next().unwrap_or(&problem);
    let sentence = tls::explain(&problem, config).unwrap_or_else(|| {
        "does not answer; start it (`make infra-up` or `make docker-up`) or set \
         cassandra.contact_points"
            .to_owned()
    });
    // What it then tells of its own functions is for programmers.
    let cause = cause.split(". You can use").next().unwrap_or(cause);
    Error::Unavailable(format!("Cassandra at {points} {sentence} ({cause})"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn contact_points(text: &str) -> Result<Vec<String>> {
    let points = text.split(',').map(str::trim).filter(|point| !point.is_empty());
    let points: Vec<String> = points.map(with_port).collect();
    if points.is_empty() {
        let problem = "cassandra.contact_points is empty; give host:port, several with commas";
        return Err(Error::Config(problem.into()));
    }
    Ok(points)
}

fn with_port(point: &str) -> String {
    let has_port = point.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    if has_port { point.to_owned() } else { format!("{point}:{DEFAULT_PORT}") }
}

fn consistency(key: &str, text: &str) -> Result<Consistency> {
    Ok(match text {
        "ONE" => Consistency::One,
        "TWO" => Consistency::Two,
        "THREE" => Consistency::Three,
        "QUORUM" => Consistency::Quorum,
        "ALL" => Consistency::All,
        "LOCAL_QUORUM" => Consistency::LocalQuorum,
        "EACH_QUORUM" if key == "write_consistency" => Consistency::EachQuorum,
        "LOCAL_ONE" => Consistency::LocalOne,
        _ => {
            return Err(Error::Config(format!(
                "cassandra.{key}: '{text}' is no consistency; use ONE, LOCAL_ONE, QUORUM, \
                 LOCAL_QUORUM or ALL"
            )));
        }
    })
}

/// Whether the same request can never succeed as things are. What a node cannot do at present
/// (overloaded, out of time, a disk that is full, too few replicas alive) passes, and so does a
/// login that somebody is changing.
pub(super) fn is_permanent(problem: &ExecutionError) -> bool {
    match problem {
        ExecutionError::BadQuery(_) => true,
        ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt }) => {
            is_permanent_attempt(first_attempt)
        }
        ExecutionError::LastAttemptError(attempt) => is_permanent_attempt(attempt),
        _ => false,
    }
}

fn is_permanent_attempt(problem: &RequestAttemptError) -> bool {
    match problem {
        RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_)
        | RequestAttemptError::RepreparedIdChanged { .. } => true,
        RequestAttemptError::DbError(refusal, _) => matches!(
            refusal,
            DbError::SyntaxError
                | DbError::Invalid
                | DbError::AlreadyExists { .. }
                | DbError::FunctionFailure { .. }
                | DbError::ConfigError
                | DbError::ProtocolError
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_points_get_the_usual_port() {
        let points = contact_points("a, b:19042,[::1]:1").expect("points");
        assert_eq!(points, ["a:9042", "b:19042", "[::1]:1"]);
        assert!(contact_points(" , ").is_err());
    }

    fn is_final(refusal: DbError) -> bool {
        let attempt = RequestAttemptError::DbError(refusal, "in the server's words".into());
        is_permanent(&ExecutionError::LastAttemptError(attempt))
    }

    #[test]
    fn what_a_node_cannot_do_now_may_pass_and_what_it_does_not_understand_may_not() {
        use scylla::errors::WriteType::UnloggedBatch;
        let consistency = Consistency::LocalQuorum;
        let (required, received, numfailures) = (2, 1, 1);
        let passing = [
            DbError::Overloaded,
            DbError::IsBootstrapping,
            DbError::Unavailable { consistency, required, alive: 1 },
            DbError::WriteTimeout { consistency, received, required, write_type: UnloggedBatch },
            DbError::WriteFailure {
                consistency,
                received,
                required,
                numfailures,
                write_type: UnloggedBatch,
            },
            DbError::ReadTimeout { consistency, received, required, data_present: false },
            DbError::ServerError,
            DbError::TruncateError,
            DbError::AuthenticationError,
            DbError::Unauthorized,
            DbError::Other(0x1700),
        ];
        for refusal in passing {
            assert!(!is_final(refusal.clone()), "{refusal}");
        }
        let timeout = ExecutionError::RequestTimeout(Duration::from_secs(10));
        assert!(!is_permanent(&timeout));
        let lasting =
            [DbError::Invalid, DbError::SyntaxError, DbError::ConfigError, DbError::ProtocolError];
        for refusal in lasting {
            assert!(is_final(refusal.clone()), "{refusal}");
        }
    }
}
