//! A clean stop: the first SIGINT or SIGTERM asks every part to drain, the second ends the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Result};

/// Handed to everything that runs long. Cloning is cheap; asking is free of locks in practice.
#[derive(Debug, Clone)]
pub struct Shutdown {
    sender: Arc<watch::Sender<bool>>,
    receiver: watch::Receiver<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        let (sender, receiver) = watch::channel(false);
        Self { sender: Arc::new(sender), receiver }
    }
}

impl Shutdown {
    /// A switch that listens to SIGINT and SIGTERM on a thread of its own. The second signal exits
    /// with code 130 at once.
    pub fn on_signals() -> Result<Self> {
        let shutdown = Self::default();
        let listener = shutdown.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Unavailable(format!("no thread for signals: {error}")))?;
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(listener.listen()))
            .map_err(|error| Error::Unavailable(format!("no thread for signals: {error}")))?;
        Ok(shutdown)
    }

    async fn listen(self) {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        for received in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if received > 0 {
                std::process::exit(130);
            }
            self.request();
        }
    }

    /// Asks for a stop; harmless when repeated.
    pub fn request(&self) {
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

    /// Completes when a stop was asked for.
    pub async fn requested(&self) {
        let mut receiver = self.receiver.clone();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = receiver.wait_for(|requested| *requested).await;
    }
}
