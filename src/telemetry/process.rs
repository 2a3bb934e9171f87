//! What every role has: which build of which role it is, whether it does its work, and what of the
//! machine it takes.

use std::sync::LazyLock;

use prometheus::{IntGauge, IntGaugeVec};

use super::{feed, gauge, gauge_by, log, restore, store, stream};

/// The roles that run until they are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Up,
    Producer,
    Stream,
    Serve,
    Simulate,
}

impl Role {
    /// The command's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Producer => "producer",
            Self::Stream => "stream",
            Self::Serve => "serve",
            Self::Simulate => "simulate",
        }
    }
}

static READY: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge("ticksmith_ready", "1 while `/readyz` says ready, 0 while it says why not.")
});
static BUILD: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_by("ticksmith_build_info", "Always 1; the labels say what runs.", &["role", "version"])
});
/// A role begins: its metrics are there from now on, counters at 0, so that the first event of each
/// is seen as one.
pub fn started(role: Role) {
    expose();
    BUILD.with_label_values(&[role.as_str(), env!("CARGO_PKG_VERSION")]).set(1);
    if matches!(role, Role::Up | Role::Producer) {
        feed::expose();
    }
    if matches!(role, Role::Up | Role::Stream) {
        stream::expose();
        restore::expose();
        log::expose();
        store::expose();
    }
}

/// As readiness is asked for.
pub fn ready(is_ready: bool) {
    READY.set(i64::from(is_ready));
}

pub(super) fn expose() {
    LazyLock::force(&READY);
    LazyLock::force(&BUILD);
    system::expose();
}

/// Processor time, memory, open files and start, where the system counts them for others to read.
#[cfg(target_os = "linux")]
mod system {
    use std::sync::LazyLock;

    use prometheus::core::Collector;
    use prometheus::process_collector::ProcessCollector;

    use crate::telemetry::{Kind, REGISTRY, catalogue};

    static SYSTEM: LazyLock<()> = LazyLock::new(|| {
        let id = i32::try_from(std::process::id()).expect("Linux numbers processes below 2^22");
        let collector = ProcessCollector::new(id, "ticksmith");
        for described in collector.desc() {
            let is_counter = described.fq_name.ends_with("_total");
            catalogue::enter(if is_counter { Kind::Counter } else { Kind::Gauge }, described);
        }
        REGISTRY.register(Box::new(collector)).expect("a metric name is registered once");
    });

    pub fn expose() {
        LazyLock::force(&SYSTEM);
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub fn expose() {}
}
