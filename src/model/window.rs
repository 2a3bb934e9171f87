//! Intervals and windows: `[start, end)`, aligned to the UNIX epoch in UTC, labelled by start.

use std::fmt;

/// A bar length. `5m`, `1h` by default; any whole number of seconds, minutes, hours or days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    length_ms: i64,
}

impl Interval {
    /// Parses `30s`, `1m`, `5m`, `1h`, `1d`. The error is a sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let problem = || format!("interval '{text}' is not of the form 30s, 5m, 1h or 1d");
        let unit_at = text.len().checked_sub(1).ok_or_else(problem)?;
        let (digits, unit) = text.split_at_checked(unit_at).ok_or_else(problem)?;
        let count: i64 = digits.parse().map_err(|_| problem())?;
        let unit_ms = match unit {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(problem()),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || !(1..=1_000).contains(&count) {
            return Err(problem());
        }
        Ok(Self { length_ms: count * unit_ms })
    }

    /// From a length in ms; must be a positive whole number of seconds.
    pub fn from_ms(length_ms: i64) -> Option<Self> {
        (length_ms > 0 && length_ms % 1_000 == 0).then_some(Self { length_ms })
    }

    pub fn length_ms(self) -> i64 {
        self.length_ms
    }

    /// The window that holds `time_ms`. At the very ends of the scale, where no trade is believed,
    /// it is cut off.
    pub fn window_of(self, time_ms: i64) -> Window {
        let start_ms = time_ms.div_euclid(self.length_ms).saturating_mul(self.length_ms);
        Window { start_ms, end_ms: start_ms.saturating_add(self.length_ms) }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.length_ms / 1_000;
        match seconds {
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3_600 == 0 => write!(f, "{}h", s / 3_600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

/// `[start_ms, end_ms)`, ms since the UNIX epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    pub start_ms: i64,
    pub end_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_parse_and_print_the_same() {
        for text in ["30s", "1m", "5m", "1h", "4h", "1d"] {
            assert_eq!(Interval::parse(text).map(|i| i.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "m", "0m", "-5m", "+5m", "5", "5w", "5é", "1001m"] {
            assert!(Interval::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn windows_are_half_open_and_epoch_aligned_before_the_epoch_too() {
        let five = Interval::parse("5m").expect("valid");
        assert_eq!(five.window_of(300_000), Window { start_ms: 300_000, end_ms: 600_000 });
        assert_eq!(five.window_of(299_999).start_ms, 0);
        assert_eq!(five.window_of(-1).start_ms, -300_000);
        assert_eq!(five.window_of(i64::MAX).end_ms, i64::MAX);
        assert_eq!(five.window_of(i64::MIN).start_ms, i64::MIN);
    }
}
