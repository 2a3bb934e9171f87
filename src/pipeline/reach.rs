//! Whether the log answers, for readiness: a log that is away brings no records and no error, which
//! looks like a quiet market.

use super::Pipeline;
use crate::telemetry::stream as events;

impl Pipeline {
    /// To be asked after a beat. While partitions are handed out or restored, readiness has reasons
    /// of its own.
    pub(super) fn tell_reach(&mut self) {
        if self.partitions.is_owing() || self.partitions.owned().is_empty() {
            return;
        }
        let away = self.log.away();
        let was_away = std::mem::replace(&mut self.log_is_away, away.is_some());
        match away {
            Some(problem) => {
                if !was_away {
                    events::log_away(&problem);
                }
                self.parts.live.ready(false, &problem);
            }
            None if was_away => self.parts.live.ready(true, ""),
            None => {}
        }
    }
}
