//! Exact amounts. A double at the border stands for the decimal that it prints as; inside, that
//! decimal is a scaled integer, and sums of integers do not depend on the order of merging.

use std::fmt;
use std::str::FromStr;

use ethnum::U256;

/// Decimal places held exactly.
pub const SCALE: u32 = 18;
const ONE: u128 = 10u128.pow(SCALE);
/// Largest price or volume of one trade. 1.7 × 10⁵ windows of it sum up within `u128`.
pub const MAX_AMOUNT: f64 = 1e15;

/// A non-negative decimal with 18 places, held as an integer of 10⁻¹⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u128);

impl Amount {
    pub const ZERO: Amount = Amount(0);
    /// `MAX_AMOUNT`.
    pub const MAX: Amount = Amount(1_000_000_000_000_000 * ONE);

    /// The decimal that `value` prints as (shortest text that reads back as the same double).
    /// `None`: negative, not finite, above `MAX_AMOUNT`, or with more than 18 decimal places.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !(0.0..=MAX_AMOUNT).contains(&value) {
            return None;
        }
        Self::from_short_decimal(value).or_else(|| Self::from_shortest_text(value))
    }

    /// Up to 8 places and 15 digits, which is nearly every trade: the nearest multiple of 10⁻⁸ is
    /// the shortest text, since two decimals of at most 15 digits never share a double. Whatever
    /// number is found, it is the right one when it gives the double back.
    fn from_short_decimal(value: f64) -> Option<Self> {
        const PLACES_8: f64 = 1e8;
        const DIGITS_15: u64 = 1_000_000_000_000_000;
        // `f64::round` is a call of the C library where the processor may be any.
        let scaled = (value * PLACES_8 + 0.5) as u64;
        (scaled < DIGITS_15 && scaled as f64 / PLACES_8 == value)
            .then(|| Self(u128::from(scaled) * 10u128.pow(SCALE - 8)))
    }

    fn from_shortest_text(value: f64) -> Option<Self> {
        // `Display` of f64 is the shortest round-trip text, never in exponent form.
        value.to_string().parse().ok()
    }

    /// Exact sum; `None` past the range of the type.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Nearest double.
    pub fn to_f64(self) -> f64 {
        // A text round trip rounds once; integer-to-double and a division would round twice.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Integer of 10⁻¹⁸.
    pub fn units(self) -> u128 {
        self.0
    }
}

impl FromStr for Amount {
    type Err = ();

    /// Plain decimal text, digits with at most one point and at most 18 places.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fraction = fraction.trim_end_matches('0');
        if whole.is_empty()
            || !digits(whole)
            || !digits(fraction)
            || fraction.len() > SCALE as usize
        {
            return Err(());
        }
        let whole: u128 = whole.parse().map_err(|_| ())?;
        let places = fraction.len() as u32;
        let fraction: u128 = if places == 0 { 0 } else { fraction.parse().map_err(|_| ())? };
        let units = whole.checked_mul(ONE).ok_or(())?;
        units.checked_add(fraction * 10u128.pow(SCALE - places)).map(Self).ok_or(())
    }
}

impl fmt::Display for Amount {
    /// Without trailing zeros: `1.5`, `120`, `0.000004`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / ONE, self.0 % ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:018}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

/// All 256 bits of a product, from those of its halves: most turnovers of one trade pass 128 bits,
/// and the general multiplication of 256 bits costs as much as the rest of its window.
fn product(a: u128, b: u128) -> U256 {
    const LOW: u128 = u64::MAX as u128;
    let (a_high, a_low, b_high, b_low) = (a >> 64, a & LOW, b >> 64, b & LOW);
    let (low, high) = (a_low * b_low, a_high * b_high);
    let (left, right) = (a_high * b_low, a_low * b_high);
    let middle = (low >> 64) + (left & LOW) + (right & LOW);
    U256::from_words(high + (left >> 64) + (right >> 64) + (middle >> 64), middle << 64 | low & LOW)
}

/// Σ price × volume as an exact integer of 10⁻³⁶; the numerator of VWAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Turnover(U256);

impl Turnover {
    /// Adds `price × volume`; `None` past 256 bits (not reachable within `MAX_AMOUNT` and 2³⁰
    /// trades).
    pub fn checked_add_product(self, price: Amount, volume: Amount) -> Option<Self> {
        self.0.checked_add(product(price.0, volume.0)).map(Self)
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Turnover / volume, the nearest double of the quotient cut to 18 places; `None` for volume 0.
    pub fn per(self, volume: Amount) -> Option<f64> {
        if volume.is_zero() {
            return None;
        }
        let quotient = self.0 / U256::from(volume.0);
        u128::try_from(quotient).ok().map(|units| Amount(units).to_f64())
    }
}

impl fmt::Display for Turnover {
    /// The integer of 10⁻³⁶, for state records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Turnover {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_decimal_that_a_double_prints_as_is_what_counts() {
        for text in
            ["0.1", "164.0641", "0.000004", "222457", "0.00141342", "0.30000000000000004", "0"]
        {
            let value: f64 = text.parse().expect("number");
            assert_eq!(Amount::from_f64(value).map(|a| a.to_string()).as_deref(), Some(text));
        }
        for value in [-1.0, f64::NAN, f64::INFINITY, 1.1e15, 1e-19] {
            assert_eq!(Amount::from_f64(value), None, "{value}");
        }
    }

    #[test]
    fn vwap_divides_exact_sums() {
        let amount = |value: f64| Amount::from_f64(value).expect("in range");
        let turnover = Turnover::default()
            .checked_add_product(amount(10.1), amount(3.0))
            .and_then(|sum| sum.checked_add_product(amount(10.2), amount(1.0)))
            .expect("in range");
        assert_eq!(turnover.per(amount(4.0)), Some(10.125));
        assert_eq!(turnover.per(Amount::ZERO), None);
    }

    proptest! {
        #[test]
        fn short_and_long_way_agree(mantissa in 0u64..10_000_000_000_000_000, places in 0u32..13) {
            let value: f64 = format!("{mantissa}e-{places}").parse().expect("number");
            if let Some(short) = Amount::from_short_decimal(value) {
                prop_assert_eq!(Some(short), Amount::from_shortest_text(value));
            }
        }

        #[test]
        fn a_product_of_halves_is_the_whole_product(a: u128, b: u128, cut in 0..u128::BITS) {
            prop_assert_eq!(product(a, b >> cut), U256::from(a) * U256::from(b >> cut));
            prop_assert_eq!(product(a >> cut, b), U256::from(a >> cut) * U256::from(b));
        }

        #[test]
        fn text_round_trips(units in 0u128..10u128.pow(33)) {
            prop_assert_eq!(Amount(units).to_string().parse(), Ok(Amount(units)));
        }
    }
}
