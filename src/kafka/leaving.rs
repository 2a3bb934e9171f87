//! Clients on their way out.

use std::thread::JoinHandle;

/// A client that closes on a thread of its own: it takes a tenth of a second, in which trades would
/// wait. Dropping this waits for it, so that nothing is left at work when a process ends.
pub(super) struct Leaving(Option<JoinHandle<()>>);

impl Leaving {
    pub fn of(client: impl Send + 'static) -> Self {
        let body = move || drop(client);
        // Without a thread the body is dropped here and now, and the client with it.
        Self(std::thread::Builder::new().name("client end".into()).spawn(body).ok())
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // What a panic said has been told by the hook.
            let _ = thread.join();
        }
    }
}
