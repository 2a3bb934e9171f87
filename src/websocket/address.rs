//! Where to connect and with what: the address without and with the key, and which key carries
//! which symbols. The key is put into the request here and nowhere else.

use tokio_tungstenite::tungstenite::http::Uri;

use crate::config::Secret;
use crate::error::{Error, Result};

/// A WebSocket address that can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    shown: String,
    full: Secret,
    host: String,
}

impl Address {
    /// # Errors
    /// `Config`: not a `ws://` or `wss://` address with a host.
    pub fn parse(url: &str) -> Result<Self> {
        let shown = url.split(['?', '#']).next().unwrap_or_default().to_owned();
        let wrong = || {
            Error::Config(format!(
                "finnhub.url '{shown}' is no WebSocket address: give ws://host:port or wss://host"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_owned();
        if !matches!(uri.scheme_str(), Some("ws" | "wss")) || uri.authority().is_none() {
            return Err(wrong());
        }
        Ok(Self { full: Secret::new(url), host, shown })
    }

    /// Without its query, which may hold a key.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// This machine: nothing but the simulator lives there.
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.trim_matches(['[', ']']);
        let address: Option<std::net::IpAddr> = bare.parse().ok();
        bare == "localhost" || address.is_some_and(|address| address.is_loopback())
    }

    /// The address that is sent, with the key.
    pub(super) fn with_key(&self, key: &Secret) -> String {
        let full = self.full.reveal();
        let base = full.split('#').next().unwrap_or_default();
        let separator = if base.contains('?') { '&' } else { '?' };
        let slash = if base.contains('?') || base.matches('/').count() > 2 { "" } else { "/" };
        format!("{base}{slash}{separator}token={}", percent_encoded(key.reveal()))
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The other way round. What is no encoded byte stays as it is: a key may hold a `%`, and a `+` is
/// no space in it.
pub(super) fn percent_decoded(text: &str) -> String {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A text of the other side or of a library, without the key should it hold it.
pub(super) fn without_key(text: &str, key: &Secret) -> String {
    if key.is_empty() {
        return text.to_owned();
    }
    text.replace(key.reveal(), "***").replace(&percent_encoded(key.reveal()), "***")
}

/// Symbols by key slot, spread evenly, each once; fewer slots than keys when symbols are few.
///
/// # Errors
/// `Config`: no symbols, or more than the keys may carry.
pub fn spread_symbols(
    symbols: &[String],
    keys: usize,
    symbols_per_key: usize,
) -> Result<Vec<Vec<String>>> {
    let mut distinct: Vec<&String> = Vec::new();
    for symbol in symbols.iter().filter(|symbol| !symbol.is_empty()) {
        if !distinct.contains(&symbol) {
            distinct.push(symbol);
        }
    }
    if distinct.is_empty() {
        return Err(Error::Config(
            "no symbols: give --symbols AAPL,MSFT or set finnhub.symbols".into(),
        ));
    }
    let limit = keys * symbols_per_key;
    if distinct.len() > limit {
        return Err(Error::Config(format!(
            "{} symbols are more than the {limit} that {keys} key(s) with {symbols_per_key} each \
             may subscribe to: name fewer symbols or add keys",
            distinct.len()
        )));
    }
    let mut slots = vec![Vec::new(); keys.min(distinct.len())];
    let slot_count = slots.len();
    for (index, symbol) in distinct.into_iter().enumerate() {
        slots[index % slot_count].push(symbol.clone());
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("S{index}")).collect()
    }

    #[test]
    fn the_key_is_in_the_request_and_nowhere_else() {
        let key = Secret::new("k/e y");
        let cases = [
            ("wss://ws.finnhub.io", "wss://ws.finnhub.io/?token=k%2Fe%20y"),
            ("ws://127.0.0.1:1/feed", "ws://127.0.0.1:1/feed?token=k%2Fe%20y"),
            ("ws://h/?a=b", "ws://h/?a=b&token=k%2Fe%20y"),
        ];
        for (url, expected) in cases {
            let address = Address::parse(url).expect("valid");
            assert_eq!(address.with_key(&key), expected);
        }
        let shown = Address::parse("ws://h/x?token=old").expect("valid");
        assert_eq!(shown.shown(), "ws://h/x");
        assert!(!format!("{shown:?}").contains("old"));
        assert_eq!(without_key("bad k/e y, k%2Fe%20y", &key), "bad ***, ***");
    }

    #[test]
    fn a_key_is_decoded_to_what_was_encoded() {
        for key in ["demo", "k/e y", "a+b=c&d", "100%", "%zz%4", "é%C3", "%+1"] {
            assert_eq!(percent_decoded(&percent_encoded(key)), key);
        }
        // A person may type what our own client would have encoded.
        for (typed, meant) in [("a+b%2fc", "a+b/c"), ("50%", "50%"), ("%zz%4", "%zz%4")] {
            assert_eq!(percent_decoded(typed), meant);
        }
    }

    #[test]
    fn what_is_no_websocket_address_is_refused_by_name() {
        for url in ["", "ws.finnhub.io", "https://ws.finnhub.io", "ws://", "wss:///x", "ws://a b"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        for (url, expected) in [
            ("ws://localhost:8765", true),
            ("ws://127.0.0.9", true),
            ("ws://[::1]:8765", true),
            ("wss://ws.finnhub.io", false),
            ("ws://10.0.0.1", false),
        ] {
            assert_eq!(Address::parse(url).expect("valid").is_loopback(), expected, "{url}");
        }
    }

    #[test]
    fn symbols_are_spread_evenly_and_each_once() {
        let mut symbols = names(7);
        symbols.push("S0".into());
        let spread = spread_symbols(&symbols, 3, 50).expect("fits");
        assert_eq!(spread.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2, 2]);
        assert_eq!(spread_symbols(&names(2), 5, 50).expect("fits").len(), 2);
        assert!(spread_symbols(&[], 1, 50).is_err());
    }

    #[test]
    fn too_many_symbols_are_refused_with_both_numbers() {
        assert!(spread_symbols(&names(100), 2, 50).is_ok());
        let error = spread_symbols(&names(101), 2, 50).expect_err("too many").to_string();
        assert!(error.contains("101") && error.contains("100"), "{error}");
    }
}
