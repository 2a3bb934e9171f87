//! The leases of a producer's keys: who it is, what stands for a key, and one group a key.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{FeedPlan, feed_name, spool_directory};
use crate::config::{Config, Secret};
use crate::error::{Error, Result};
use crate::kafka::{KafkaLease, LeaseClaim};
use crate::port::Clock;
use crate::websocket::Lease;

const HOLDER_FILE: &str = "holder";
/// Of the hash; 64 bits tell any number of keys apart.
const HASH_DIGITS: usize = 16;
/// A broker that is there answers within milliseconds that the group was left.
const LEFT_WITHIN: Duration = Duration::from_secs(2);

/// The leases by key slot, and who keeps them; both empty when none is wanted.
pub(super) struct Leases {
    pub by_slot: Vec<Lease>,
    kept: Vec<KafkaLease>,
}

impl Leases {
    pub(super) fn join(config: &Config, plan: &FeedPlan, clock: &Arc<dyn Clock>) -> Result<Self> {
        let mut leases = Self { by_slot: Vec::new(), kept: Vec::new() };
        if !config.producer.lease {
            return Ok(leases);
        }
        let holder = holder(&spool_directory(config))?;
        for (slot, (key, _)) in plan.slots.iter().enumerate() {
            let claim = LeaseClaim {
                feed: feed_name(config, slot),
                key_hash: hash(key),
                holder: holder.clone(),
            };
            let (lease, tenure) = KafkaLease::join(config, claim, clock.clone())?;
            leases.kept.push(lease);
            leases.by_slot.push(Lease::new(tenure));
        }
        Ok(leases)
    }

    /// They are given back as each client ends; here the rest of it is waited for.
    pub(super) fn await_left(self) {
        drop(self.by_slot);
        self.kept.into_iter().for_each(|lease| lease.await_left(LEFT_WITHIN));
    }
}

/// What stands for the key where others can read it.
pub(in crate::role) fn hash(key: &Secret) -> String {
    let mut sha = Sha256::new();
    sha.update(b"ticksmith producer lease ");
    sha.update(key.reveal().as_bytes());
    let text: String = sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    text[..HASH_DIGITS].to_owned()
}

/// The name of whoever writes this spool: made once, kept beside it.
fn holder(directory: &Path) -> Result<String> {
    let path = directory.join(HOLDER_FILE);
    if let Ok(name) = std::fs::read_to_string(&path)
        && !name.trim().is_empty()
    {
        return Ok(name.trim().to_owned());
    }
    let name = format!("ticksmith-{:016x}", rand::random::<u64>());
    match std::fs::write(&path, &name) {
        Ok(()) => Ok(name),
        // A restart then waits for the dead run's lease to end; that is no reason not to start.
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(name),
        Err(error) => Err(Error::Config(format!(
            "{}: {error}; set producer.spool_dir to a writable one",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_and_not_from_it() {
        let (one, other) = (Secret::new("key-one"), Secret::new("key-other"));
        assert_eq!(hash(&one), hash(&one.clone()));
        assert_ne!(hash(&one), hash(&other));
        assert!(hash(&one).len() == HASH_DIGITS && !hash(&one).contains("key"));
    }

    #[test]
    fn a_producer_keeps_its_name_over_restarts_and_shares_it_with_no_other_spool() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let name = holder(one.path()).expect("written");
        assert_eq!(holder(one.path()).expect("read"), name);
        assert_ne!(holder(other.path()).expect("written"), name);
        let problem = holder(&one.path().join("gone")).expect_err("no such directory").to_string();
        assert!(problem.contains("producer.spool_dir"), "{problem}");
    }
}
