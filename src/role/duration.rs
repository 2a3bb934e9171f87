//! How long, as people type and read it: `30s`, `1m30s`, `2h`, `1d12h`.

use std::time::Duration;

/// Long enough for every log and market; what is longer is a slip of the finger.
const LONGEST_MS: u64 = 3_650 * 86_400_000;
/// Longest first, the order in which a duration names them.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Whole numbers with a unit each, the longer unit first; `0` needs none. At most ten years.
///
/// # Errors
/// A sentence for the user.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || "give a time such as 30s, 1m30s, 2h or 1d".to_owned();
    let (mut rest, mut units, mut total_ms) = (text, &UNITS[..], 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let count: u64 = number.parse().map_err(|_| wrong())?;
        let part_ms = count.checked_mul(units[place].1);
        total_ms = part_ms.and_then(|ms| total_ms.checked_add(ms)).unwrap_or(u64::MAX);
        if total_ms > LONGEST_MS {
            return Err("that is longer than ten years".to_owned());
        }
        (rest, units) = (after, &units[place + 1..]);
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(total_ms)) }
}

/// The same for people to read, in at most two units: `0.4s`, `12.0s`, `1m30s`, `5h12m`, `2d3h`.
/// What is negative, between two clocks that differ, counts as nothing.
pub fn text(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{}.{}s", seconds, ms % 1_000 / 100),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_two_units_at_most() {
        let cases = [
            (-5, "0.0s"),
            (449, "0.4s"),
            (59_999, "59.9s"),
            (60_000, "1m0s"),
            (5_399_999, "1h29m"),
            (86_399_999, "23h59m"),
            (97_200_000, "1d3h"),
        ];
        for (ms, expected) in cases {
            assert_eq!(text(ms), expected);
        }
    }

    #[test]
    fn what_people_type_is_understood() {
        let cases = [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000),
            ("90m", 5_400_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1d12h", 129_600_000),
            ("1h0m5s250ms", 3_605_250),
            ("007s", 7_000),
        ];
        for (text, expected_ms) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(expected_ms)), "{text}");
        }
    }

    #[test]
    fn the_rest_is_refused_with_what_would_be_right() {
        for text in
            ["", "s", "5", "1m30", "30s1m", "1m1m", "-5s", "+5s", "1.5h", "5 s", "5w", "5é", "1h-"]
        {
            assert!(parse(text).expect_err(text).contains("1m30s"), "{text}");
        }
        for text in ["3651d", "99999999999999999d", "3650d1ms"] {
            assert!(parse(text).expect_err(text).contains("ten years"), "{text}");
        }
    }
}
