//! What goes wrong on request, so that a client can be seen to cope.

use std::time::{Duration, Instant};

/// A fault of every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Each connection is dropped after a while.
    Drop,
    /// Each connection stays open, but carries nothing any more after a while.
    Silent,
    /// A malformed frame comes now and then.
    Malformed,
    /// A frame of three or more elements comes three times now and then.
    Repeat3,
}

/// When faults strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultTiming {
    /// `Drop` and `Silent` strike after so many frames of a connection…
    pub after_frames: u64,
    /// …and not before it is so old.
    pub after: Duration,
    /// `Malformed` and `Repeat3` strike at every so many frames.
    pub every_frames: u64,
}

impl Default for FaultTiming {
    fn default() -> Self {
        Self { after_frames: 20, after: Duration::from_secs(5), every_frames: 10 }
    }
}

/// Broken in the ways that peers have seen: cut off, of another type, without data, without a time,
/// with text for a price.
const MALFORMED: [&str; 5] = [
    r#"{"data":[{"c":["1","24","12","p":146.7,"s":"AAPL","t":1628238530221,"v":4},"type":"trade"}"#,
    r#"{"data":[{"c":["1"],"p":146.76,"s":"AAPL","t":1628238530221,"v":43}],"type":"message"}"#,
    r#"{"dta":[{"c":["1"],"p":146.76,"s":"AAPL","t":1628238530221,"v":43}],"type":"trade"}"#,
    r#"{"data":[{"p":1500,"s":"OANDA:USD_KRW","v":1}],"type":"trade"}"#,
    r#"{"data":[{"c":["1"],"p":"146.76","s":"AAPL","t":1628238530221,"v":43}],"type":"trade"}"#,
];

/// What becomes of one frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// So many times, after the malformed frame where there is one.
    Send {
        times: usize,
        before: Option<&'static str>,
    },
    DropConnection,
    GoSilent,
}

/// The faults of one connection.
#[derive(Debug)]
pub(super) struct Faults {
    fault: Option<Fault>,
    timing: FaultTiming,
    opened: Instant,
    frames: u64,
    large_frames: u64,
}

impl Faults {
    pub(super) fn new(fault: Option<Fault>, timing: FaultTiming) -> Self {
        Self { fault, timing, opened: Instant::now(), frames: 0, large_frames: 0 }
    }

    /// Decides on the next frame, which has `elements` trades.
    pub(super) fn next(&mut self, elements: usize) -> Delivery {
        let once = Delivery::Send { times: 1, before: None };
        let is_due =
            self.frames >= self.timing.after_frames && self.opened.elapsed() >= self.timing.after;
        self.frames += 1;
        self.large_frames += u64::from(elements >= 3);
        let every = self.timing.every_frames.max(1);
        match self.fault {
            Some(Fault::Drop) if is_due => Delivery::DropConnection,
            Some(Fault::Silent) if is_due => Delivery::GoSilent,
            Some(Fault::Malformed) if self.frames.is_multiple_of(every) => {
                let which = (self.frames / every) as usize % MALFORMED.len();
                Delivery::Send { times: 1, before: Some(MALFORMED[which]) }
            }
            Some(Fault::Repeat3) if elements >= 3 && self.large_frames.is_multiple_of(every) => {
                Delivery::Send { times: 3, before: None }
            }
            _ => once,
        }
    }
}
