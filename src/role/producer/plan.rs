//! Which key subscribes to what, decided before anything connects, so that what cannot work is said
//! at once.

use crate::config::{Config, Secret};
use crate::error::{Error, Result};
use crate::websocket::{Address, Trust, spread_symbols};

/// Where to connect, and which key carries which symbols.
#[derive(Debug, Clone)]
pub struct FeedPlan {
    pub address: Address,
    pub trust: Trust,
    /// By key slot.
    pub slots: Vec<(Secret, Vec<String>)>,
}

/// Without a key, an address on this machine is taken for the simulator's and gets its key.
///
/// # Errors
/// `Config`: no key for the vendor's feed, no address, no symbols or too many of them, a file of
/// authorities that is none.
pub fn plan_feed(config: &Config) -> Result<FeedPlan> {
    let finnhub = &config.finnhub;
    let address = Address::parse(&finnhub.url)?;
    let mut keys = finnhub.api_keys();
    if keys.is_empty() && address.is_loopback() {
        keys.push(Secret::new(config.simulator.key.clone()));
    }
    if keys.is_empty() {
        return Err(Error::Config(format!(
            "no key for {}: set FINNHUB_API_KEY, or run `make simulate` and give --url \
             ws://localhost:{}",
            address.shown(),
            config.simulator.port
        )));
    }
    let symbols = spread_symbols(&finnhub.symbols, keys.len(), finnhub.symbols_per_key)?;
    let trust = Trust::of(&finnhub.tls_ca)?;
    Ok(FeedPlan { address, trust, slots: keys.into_iter().zip(symbols).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, api_key: &str) -> Config {
        let mut config = Config::defaults();
        config.finnhub.url = url.into();
        config.finnhub.api_key = Secret::new(api_key);
        config
    }

    #[test]
    fn without_a_key_the_vendors_feed_is_refused_with_both_remedies() {
        for api_key in ["", "your_key_here", "changeme", " , "] {
            let error = plan_feed(&config("wss://ws.finnhub.io", api_key)).expect_err("no key");
            let text = error.to_string();
            assert!(text.contains("FINNHUB_API_KEY") && text.contains("make simulate"), "{text}");
        }
    }

    #[test]
    fn the_simulator_on_this_machine_gets_its_own_key() {
        let plan = plan_feed(&config("ws://127.0.0.1:8765", "")).expect("the simulator's");
        assert_eq!(plan.slots[0].0, Secret::new("demo"));
    }

    #[test]
    fn several_keys_share_the_symbols_and_stay_unseen() {
        let plan = plan_feed(&config("wss://ws.finnhub.io", "k1secret, k2secret")).expect("keys");
        assert_eq!(plan.slots.len(), 2);
        assert!(!format!("{plan:?}").contains("secret"));
    }
}
