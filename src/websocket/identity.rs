//! Ids of connections: they name a connection for good, in the order in which they were made, and
//! two producers that connect in the same microsecond do not share one.

use std::sync::Mutex;

/// Bits that tell processes apart; what remains is time in steps of 256 µs.
const PROCESS_BITS: u32 = 8;

/// Hands out ids: µs since the epoch, made unique, with low bits of this process.
#[derive(Debug)]
pub struct ConnectionIds {
    process: i64,
    last: Mutex<i64>,
}

impl ConnectionIds {
    /// `process` is random; its low eight bits are used.
    pub fn new(process: u8) -> Self {
        Self { process: i64::from(process), last: Mutex::new(0) }
    }

    /// The id of a connection made at `now_us`; greater than every one before it.
    pub fn next(&self, now_us: i64) -> i64 {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let step = 1 << PROCESS_BITS;
        let wanted = now_us.div_euclid(step) * step + self.process;
        *last = wanted.max(*last + step);
        *last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_even_when_the_clock_stands_still_or_goes_back() {
        let ids = ConnectionIds::new(0xa5);
        let now_us = 1_700_000_000_000_000;
        let made: Vec<i64> = [now_us, now_us, now_us - 5_000_000, now_us + 1_000_000]
            .map(|at_us| ids.next(at_us))
            .to_vec();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert!(made.iter().all(|id| id & 0xff == 0xa5));
        assert!((now_us - made[0]).abs() < 256 && (now_us + 1_000_000 - made[3]).abs() < 256);
    }

    #[test]
    fn processes_that_connect_at_once_differ() {
        assert_ne!(ConnectionIds::new(1).next(1_000_000), ConnectionIds::new(2).next(1_000_000));
    }
}
