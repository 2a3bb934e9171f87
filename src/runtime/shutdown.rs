//! A clean stop: the first SIGINT or SIGTERM asks every part to drain, the second ends the process.
//!
//! Both signals are blocked in every thread and awaited by one. So none is lost between the start
//! of the process and the moment at which a role can act on it, no handler interrupts other code,
//! and the second one is heard whatever the other threads hang in.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::error::{Error, Result};

/// What a drained process may still take to leave its connections.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
/// Exit code after a second signal.
const INTERRUPTED: i32 = 130;

/// Holds SIGINT and SIGTERM back, to be called before the process has a second thread. They stay
/// pending until [`Shutdown::on_signals`] or [`release_signals`].
pub fn hold_signals() {
    change_mask(libc::SIG_BLOCK);
}

/// For commands that have nothing to drain: a signal ends them as it does any program, at once if
/// it came already.
pub fn release_signals() {
    change_mask(libc::SIG_UNBLOCK);
}

fn change_mask(how: libc::c_int) {
    let set = stop_signals();
    // SAFETY: reads a set that lives for the call, and changes the mask of this thread alone.
    unsafe { libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()) };
}

fn stop_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set; both signals exist.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        set.assume_init()
    }
}

fn await_signal() {
    let set = stop_signals();
    let mut signal = 0;
    // SAFETY: both pointers live for the call. An interrupted wait is repeated.
    while unsafe { libc::sigwait(&raw const set, &raw mut signal) } != 0 {}
}

/// Ends the process without the destructors of libraries whose threads are still at work.
fn leave(code: i32) -> ! {
    // SAFETY: takes an integer and does not return. Standard output holds no unfinished line.
    unsafe { libc::_exit(code) }
}

/// Handed to everything that runs long. Cloning is cheap; asking is free of locks in practice.
#[derive(Debug, Clone)]
pub struct Shutdown {
    sender: Arc<watch::Sender<bool>>,
    receiver: watch::Receiver<bool>,
    stop: Arc<Stop>,
}

#[derive(Debug)]
struct Stop {
    /// There is something to drain.
    has_begun: AtomicBool,
    requested_at: OnceLock<Instant>,
    /// How long draining may take.
    drain_within: Duration,
}

impl Default for Shutdown {
    /// A switch that hears no signals, of something that has begun and may drain for ever.
    fn default() -> Self {
        Self::new(true, Duration::MAX)
    }
}

impl Shutdown {
    fn new(has_begun: bool, drain_within: Duration) -> Self {
        let (sender, receiver) = watch::channel(false);
        let has_begun = AtomicBool::new(has_begun);
        let stop = Stop { has_begun, requested_at: OnceLock::new(), drain_within };
        Self { sender: Arc::new(sender), receiver, stop: Arc::new(stop) }
    }

    /// A switch that listens to SIGINT and SIGTERM on a thread of its own.
    ///
    /// Before [`Shutdown::begun`] the first signal ends the process at once, with exit code 0:
    /// there is nothing to drain. Afterwards it asks for a stop; a process that is still there a
    /// second after `drain_within` is ended all the same, with 0: what it has not finished is done
    /// again after the next start, as after a crash. The second signal ends it at once, with 130.
    pub fn on_signals(drain_within: Duration) -> Result<Self> {
        hold_signals();
        let shutdown = Self::new(false, drain_within);
        let listener = shutdown.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || listener.listen())
            .map_err(|error| Error::Unavailable(format!("no thread for signals: {error}")))?;
        Ok(shutdown)
    }

    fn listen(&self) {
        await_signal();
        self.request();
        if !self.stop.has_begun.load(Ordering::SeqCst) {
            tracing::info!("stopped before it had begun");
            leave(0);
        }
        tracing::info!("stopping; a second signal ends it at once");
        let patience = self.stop.drain_within.saturating_add(LEAVE_WITHIN);
        // Detached on purpose: it must not keep the process alive, and ends with it.
        let _last_resort = std::thread::spawn(move || {
            std::thread::sleep(patience);
            tracing::warn!(
                after_ms = patience.as_millis(),
                "ended in the middle of its work, which is done again after the next start"
            );
            leave(0);
        });
        await_signal();
        leave(INTERRUPTED);
    }

    /// From now on there is something to drain.
    pub fn begun(&self) {
        self.stop.has_begun.store(true, Ordering::SeqCst);
    }

    /// Asks for a stop; harmless when repeated.
    pub fn request(&self) {
        self.stop.requested_at.get_or_init(Instant::now);
        self.sender.send_replace(true);
    }

    /// Asks for a stop after `delay`.
    pub fn request_after(&self, delay: Duration) {
        let shutdown = self.clone();
        // Detached on purpose: it must not keep the process alive, and ends with it.
        let _timer = std::thread::spawn(move || {
            std::thread::sleep(delay);
            shutdown.request();
        });
    }

    pub fn is_requested(&self) -> bool {
        *self.receiver.borrow()
    }

    /// For work that leaves nothing to drain.
    ///
    /// # Errors
    /// `Interrupted` when a stop was asked for.
    pub fn check(&self) -> Result<()> {
        if self.is_requested() {
            return Err(Error::Interrupted("a stop was asked for".into()));
        }
        Ok(())
    }

    /// A stop was asked for, and the time for draining is over.
    pub fn is_overdue(&self) -> bool {
        let requested_at = self.stop.requested_at.get();
        requested_at.is_some_and(|at| at.elapsed() >= self.stop.drain_within)
    }

    /// Completes when a stop was asked for.
    pub async fn requested(&self) {
        let mut receiver = self.receiver.clone();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = receiver.wait_for(|requested| *requested).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overdue_is_what_was_asked_to_stop_and_had_its_time() {
        let patient = Shutdown::new(true, Duration::MAX);
        let hasty = Shutdown::new(true, Duration::ZERO);
        assert!(!hasty.is_overdue(), "nobody has asked");
        patient.request();
        hasty.request();
        assert!(patient.is_requested() && !patient.is_overdue());
        assert!(hasty.is_overdue());
    }
}
