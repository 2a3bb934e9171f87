//! How long to wait after a failure, and how far behind the stream is: the arithmetic of the beat's
//! times, apart so that it can be read without the loop.

/// First and longest pause after a dependency refused, ms.
const RETRY_INITIAL_MS: u64 = 100;
const RETRY_LONGEST_MS: u64 = 5_000;

/// The pause after so many failures in a row, ms.
pub fn wait_ms(failures: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(10);
    RETRY_INITIAL_MS.saturating_mul(1 << doublings).min(RETRY_LONGEST_MS)
}

/// Time to read `lag_records` at the pace of a beat that took `taken` records in `lasted_us`, ms.
pub fn lag_ms(lag_records: i64, taken: usize, lasted_us: i64) -> i64 {
    if lag_records == 0 {
        return 0;
    }
    let taken = i64::try_from(taken).unwrap_or(i64::MAX).max(1);
    lag_records.saturating_mul(lasted_us / 1_000) / taken
}
