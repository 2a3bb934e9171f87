//! One connection per key: a second one costs both their connection, as with the feed itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

/// A client that comes back at once may find its own old connection not yet cleared away.
const PATIENCE: Duration = Duration::from_millis(200);

/// The keys that are known, and who uses them.
#[derive(Debug)]
pub(super) struct Keys {
    slots: HashMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    free: Arc<Semaphore>,
    evictions: watch::Sender<u64>,
}

/// The right to a key, held as long as the connection.
#[derive(Debug)]
pub(super) struct KeyInUse {
    evictions: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

impl Keys {
    pub(super) fn new(keys: &[String]) -> Self {
        let slot = || Slot { free: Arc::new(Semaphore::new(1)), evictions: watch::Sender::new(0) };
        Self { slots: keys.iter().map(|key| (key.clone(), slot())).collect() }
    }

    pub(super) fn knows(&self, key: &str) -> bool {
        self.slots.contains_key(key)
    }

    /// `None`: somebody else uses the key, and loses it by this.
    pub(super) async fn take(&self, key: &str) -> Option<KeyInUse> {
        let slot = self.slots.get(key)?;
        match timeout(PATIENCE, slot.free.clone().acquire_owned()).await {
            Ok(Ok(permit)) => {
                Some(KeyInUse { evictions: slot.evictions.subscribe(), _permit: permit })
            }
            _ => {
                slot.evictions.send_modify(|count| *count += 1);
                None
            }
        }
    }
}

impl KeyInUse {
    /// Completes when another connection came with the same key.
    pub(super) async fn evicted(&mut self) {
        // The sender lives as long as the keys, which outlive every connection.
        let _ = self.evictions.changed().await;
    }
}
