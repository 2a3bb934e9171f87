//! Decimal numbers as people write them, made comparable digit by digit: `1e-05`, `0.00001` and
//! `0.0000100` are one value, and no double comes between.

use std::fmt;
use std::str::FromStr;

use super::amount::Amount;

/// A decimal in its only normal form: digits without leading or trailing zeros, times ten to the
/// exponent. Zero has no digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// The decimal that a price or volume prints as (the shortest text that reads back as the same
    /// double); `None` when it is not finite.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.to_string().parse().ok()
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Significant digits; zero has none.
    pub fn digits(&self) -> usize {
        self.digits.len()
    }

    /// Decimal places of the shortest plain notation.
    pub fn places(&self) -> usize {
        usize::try_from(-self.exponent).unwrap_or(0)
    }

    /// Nearest double.
    pub fn to_f64(&self) -> f64 {
        // Plain notation always parses.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// The value where it is a whole number that fits.
    pub fn to_i64(&self) -> Option<i64> {
        const PLACES_MAX: i64 = 19;
        if self.is_zero() {
            return Some(0);
        }
        if !(0..=PLACES_MAX).contains(&self.exponent) {
            return None;
        }
        self.to_string().parse().ok()
    }
}

impl From<Amount> for Decimal {
    fn from(amount: Amount) -> Self {
        // An amount prints as plain decimal text, which always parses.
        amount.to_string().parse().unwrap_or(Self {
            negative: false,
            digits: String::new(),
            exponent: 0,
        })
    }
}

impl FromStr for Decimal {
    type Err = ();

    /// `[+-]digits[.digits][e[+-]digits]`, with a digit before or after the point.
    fn from_str(text: &str) -> Result<Self, ()> {
        const EXPONENT_MAX: u64 = 10_000;
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| ())?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || exponent.unsigned_abs() > EXPONENT_MAX {
            return Err(());
        }
        let significant = digits.trim_end_matches('0');
        let dropped = digits.len() - significant.len();
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        Ok(Self {
            negative,
            digits: significant.to_owned(),
            exponent: exponent - fraction.len() as i64 + dropped as i64,
        })
    }
}

impl fmt::Display for Decimal {
    /// Plain notation, without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        let sign = if self.negative { "-" } else { "" };
        let digits = &self.digits;
        // Bounded by the parser: at most ten thousand zeros.
        let places = usize::try_from(self.exponent.unsigned_abs()).unwrap_or(0);
        if self.exponent >= 0 {
            return write!(f, "{sign}{digits}{:0<places$}", "");
        }
        match digits.len().checked_sub(places).filter(|whole| *whole > 0) {
            Some(whole) => write!(f, "{sign}{}.{}", &digits[..whole], &digits[whole..]),
            None => write!(f, "{sign}0.{digits:0>places$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap_or_else(|()| panic!("{text} is a decimal"))
    }

    #[test]
    fn one_value_has_one_form() {
        for (text, plain) in [
            ("1e-05", "0.00001"),
            ("0.0000100", "0.00001"),
            ("+012.340", "12.34"),
            ("-1.5E+3", "-1500"),
            ("5.", "5"),
            (".5", "0.5"),
            ("-0.00", "0"),
            ("0e7", "0"),
            ("1000000000000000000000.1", "1000000000000000000000.1"),
        ] {
            assert_eq!(decimal(text).to_string(), plain);
            assert_eq!(decimal(text), decimal(plain));
        }
        assert_ne!(decimal("0.1"), decimal("0.10000000000000001"));
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in [
            "",
            ".",
            "e5",
            "1e",
            "nan",
            "inf",
            "1,5",
            "--1",
            "1e99999",
            "1e-9223372036854775808",
            "0x1",
            "1.2.3",
            " 1",
        ] {
            assert_eq!(text.parse::<Decimal>(), Err(()), "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_told_from_the_rest() {
        assert_eq!(decimal("1570752000.0").to_i64(), Some(1_570_752_000));
        assert_eq!(decimal("1.5e3").to_i64(), Some(1_500));
        assert_eq!(decimal("0.0").to_i64(), Some(0));
        assert_eq!(decimal("0.5").to_i64(), None);
        assert_eq!(decimal("1e30").to_i64(), None);
    }

    proptest! {
        #[test]
        fn doubles_and_their_exponent_form_agree(value in proptest::num::f64::NORMAL) {
            prop_assert_eq!(Decimal::from_f64(value), format!("{value:e}").parse().ok());
        }

        #[test]
        fn its_own_text_reads_back(text in "-?[0-9]{1,20}\\.[0-9]{0,20}e-?[0-9]{1,2}") {
            let value = decimal(&text);
            prop_assert_eq!(decimal(&value.to_string()), value);
        }
    }
}
