//! Who is connected and wants what; the way from the one source of frames to every client, bounded,
//! so that a slow client holds the source back instead of losing anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::print::Print;
use super::recording::Line;

/// Batches between the source and one client.
const QUEUED_BATCHES: usize = 64;
/// A client that reads nothing for so long is cut off.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the source sends to everyone; each client picks its own.
#[derive(Debug, Clone)]
pub(super) enum Batch {
    Prints(Arc<Vec<Print>>),
    Line(Arc<Line>),
    /// The recording is over and the server is about to end.
    End,
}

/// The symbols that can be asked for.
#[derive(Debug)]
pub(super) struct Universe {
    pub(super) symbols: Vec<String>,
    index: HashMap<String, usize>,
}

impl Universe {
    pub(super) fn new(symbols: Vec<String>) -> Self {
        let named = symbols.iter().enumerate();
        let index = named.map(|(index, symbol)| (symbol.to_ascii_uppercase(), index)).collect();
        Self { symbols, index }
    }

    /// Upper and lower case are one, as for the feed.
    pub(super) fn index_of(&self, symbol: &str) -> Option<usize> {
        self.index.get(&symbol.to_ascii_uppercase()).copied()
    }
}

struct Client {
    sender: mpsc::Sender<Batch>,
    /// By index into the universe.
    wanted: Vec<bool>,
}

/// The clients.
pub(super) struct Hub {
    clients: Mutex<HashMap<u64, Client>>,
    /// Counts changes of who wants what; also the source of ids.
    changes: watch::Sender<u64>,
    symbols: usize,
}

impl Hub {
    pub(super) fn new(symbols: usize) -> Self {
        Self { clients: Mutex::default(), changes: watch::Sender::new(0), symbols }
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<u64, Client>> {
        self.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A client that wants nothing yet.
    pub(super) fn join(&self) -> (u64, mpsc::Receiver<Batch>) {
        let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
        let client = Client { sender, wanted: vec![false; self.symbols] };
        let mut id = 0;
        self.changes.send_modify(|count| {
            *count += 1;
            id = *count;
        });
        self.clients().insert(id, client);
        (id, receiver)
    }

    pub(super) fn want(&self, id: u64, wanted: &[bool]) {
        if let Some(client) = self.clients().get_mut(&id) {
            client.wanted = wanted.to_vec();
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// Harmless when it left before.
    pub(super) fn leave(&self, id: u64) {
        self.clients().remove(&id);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Tells of every change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// By index into the universe: whether anyone wants the symbol.
    pub(super) fn wanted(&self) -> Vec<bool> {
        let mut wanted = vec![false; self.symbols];
        for client in self.clients().values() {
            for (sum, one) in wanted.iter_mut().zip(&client.wanted) {
                *sum |= one;
            }
        }
        wanted
    }

    pub(super) fn is_anyone_subscribed(&self) -> bool {
        self.wanted().contains(&true)
    }

    /// Hands the batch to every client, waiting for slow ones within reason.
    pub(super) async fn send(&self, batch: Batch) {
        let senders: Vec<_> =
            self.clients().iter().map(|(id, client)| (*id, client.sender.clone())).collect();
        for (id, sender) in senders {
            if !matches!(timeout(PATIENCE, sender.send(batch.clone())).await, Ok(Ok(()))) {
                self.leave(id);
            }
        }
    }
}
