//! One simulated trade, in whole numbers, and its JSON as the feed writes it.

use std::fmt::{self, Write as _};

/// A decimal as an integer of 10^-places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    pub units: i64,
    pub places: u32,
}

impl fmt::Display for Decimal {
    /// Without trailing zeros, as JSON numbers of the feed are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10i64.pow(self.places);
        let (whole, mut fraction) = (self.units / one, self.units % one);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let mut places = self.places as usize;
        while fraction % 10 == 0 {
            fraction /= 10;
            places -= 1;
        }
        write!(f, "{whole}.{fraction:0places$}")
    }
}

/// Up to four sale-condition codes in the order of their categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Codes {
    codes: [u8; 4],
    length: u8,
}

impl Codes {
    /// Those of `codes` that are not 0; at most four.
    pub fn of(codes: [u8; 4]) -> Self {
        let mut kept = Self::default();
        for code in codes.into_iter().filter(|code| *code != 0) {
            kept.codes[usize::from(kept.length)] = code;
            kept.length += 1;
        }
        kept
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.codes[..usize::from(self.length)]
    }

    /// The feed's other encoding of the same conditions: with `1` for regular, or without.
    pub fn other_encoding(&self) -> Self {
        match self.as_slice() {
            [1, rest @ ..] => {
                let mut codes = [0; 4];
                codes[..rest.len()].copy_from_slice(rest);
                Self::of(codes)
            }
            rest => {
                let mut codes = [1, 0, 0, 0];
                let length = rest.len().min(3);
                codes[1..=length].copy_from_slice(&rest[..length]);
                Self::of(codes)
            }
        }
    }
}

/// One simulated trade, in the order of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// Index into the symbols of the market.
    pub symbol: usize,
    /// Milliseconds since the UNIX epoch.
    pub trade_time_ms: i64,
    pub price: Decimal,
    pub volume: Decimal,
    /// `None` for what is no stock.
    pub codes: Option<Codes>,
}

impl Print {
    /// Appends the element; `symbol_json` is the symbol as a JSON string, quotes included.
    pub fn write_json(&self, symbol_json: &str, out: &mut String) {
        out.push_str("{\"c\":");
        match &self.codes {
            None => out.push_str("null"),
            Some(codes) => {
                for (index, code) in codes.as_slice().iter().enumerate() {
                    let lead = if index == 0 { '[' } else { ',' };
                    // Writing to a String cannot fail.
                    let _ = write!(out, "{lead}\"{code}\"");
                }
                out.push_str(if codes.as_slice().is_empty() { "[]" } else { "]" });
            }
        }
        let (price, time_ms, volume) = (self.price, self.trade_time_ms, self.volume);
        let _ = write!(out, ",\"p\":{price},\"s\":{symbol_json},\"t\":{time_ms},\"v\":{volume}}}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_as_the_feed_writes_them() {
        let mut print = Print {
            symbol: 0,
            trade_time_ms: 1_680_286_537_580,
            price: Decimal { units: 1_640_601, places: 4 },
            volume: Decimal { units: 400, places: 8 },
            codes: Some(Codes::of([1, 0, 24, 12])),
        };
        let mut text = String::new();
        print.write_json("\"AAPL\"", &mut text);
        assert_eq!(
            text,
            r#"{"c":["1","24","12"],"p":164.0601,"s":"AAPL","t":1680286537580,"v":0.000004}"#
        );
        print.codes = None;
        print.price = Decimal { units: 16_400_000, places: 5 };
        text.clear();
        print.write_json("\"A\"", &mut text);
        assert_eq!(text, r#"{"c":null,"p":164,"s":"A","t":1680286537580,"v":0.000004}"#);
    }

    #[test]
    fn the_other_encoding_is_its_own_inverse() {
        for codes in [[1, 8, 24, 12], [1, 0, 0, 0], [0, 8, 0, 12], [0, 0, 0, 0]] {
            let codes = Codes::of(codes);
            assert_ne!(codes.other_encoding(), codes);
            assert_eq!(codes.other_encoding().other_encoding(), codes);
        }
    }
}
