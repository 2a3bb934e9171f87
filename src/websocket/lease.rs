//! The client's side of the lease on its key: whether it may connect, and when it has to give way.

use tokio::sync::watch;

use crate::port::Tenure;

/// Cloning shares it; whoever keeps the leases gives this one back when the last clone is gone.
#[derive(Debug, Clone)]
pub struct Lease(Option<watch::Receiver<Tenure>>);

impl Lease {
    pub fn new(tenure: watch::Receiver<Tenure>) -> Self {
        Self(Some(tenure))
    }

    /// Nobody else has the key.
    pub fn unneeded() -> Self {
        Self(None)
    }

    pub(super) fn is_needed(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn tenure(&self) -> Tenure {
        self.0.as_ref().map_or(Tenure::Held, |tenure| tenure.borrow().clone())
    }

    /// Completes when it is no longer `known`.
    pub(super) async fn changed_from(&self, known: &Tenure) {
        self.wait_for(|tenure| tenure != known).await;
    }

    /// Completes when another producer holds it, or nobody can.
    pub(super) async fn lost(&self) {
        self.wait_for(|tenure| matches!(tenure, Tenure::Elsewhere | Tenure::Refused(_))).await;
    }

    async fn wait_for(&self, condition: impl FnMut(&Tenure) -> bool) {
        if let Some(mut tenure) = self.0.clone()
            && tenure.wait_for(condition).await.is_ok()
        {
            return;
        }
        // Nothing will ever be heard: what is known stays true.
        std::future::pending().await
    }
}
