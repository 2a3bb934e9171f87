//! The class of a symbol, from its spelling: it decides the default policy, whether there is a New
//! York session, and what volume 0 means.

/// What kind of instrument a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SymbolClass {
    /// The consolidated tape's rules apply.
    UsStock,
    Crypto,
    Fx,
    Other,
}

impl SymbolClass {
    /// The class of a word of the configuration.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "us_stock" => Ok(Self::UsStock),
            "crypto" => Ok(Self::Crypto),
            "fx" => Ok(Self::Fx),
            "other" => Ok(Self::Other),
            word => Err(format!("class '{word}' is not us_stock, crypto, fx or other")),
        }
    }
}

/// Classes by spelling. What is named comes first, then the prefixes before `:`; without a `:` it
/// is a US stock.
#[derive(Debug, Clone, Default)]
pub struct ClassRule {
    pub crypto_prefixes: Vec<String>,
    pub fx_prefixes: Vec<String>,
    /// A symbol, or `PREFIX:*` for all of a prefix, with its class; a symbol beats its prefix.
    pub named: Vec<(String, SymbolClass)>,
}

impl ClassRule {
    pub fn class_of(&self, symbol: &str) -> SymbolClass {
        if let Some(class) = self.class_named(symbol) {
            return class;
        }
        let Some((prefix, _)) = symbol.split_once(':') else { return SymbolClass::UsStock };
        if let Some(class) = self.class_named(&format!("{prefix}:*")) {
            return class;
        }
        let listed = |prefixes: &[String]| prefixes.iter().any(|one| one == prefix);
        if listed(&self.crypto_prefixes) {
            SymbolClass::Crypto
        } else if listed(&self.fx_prefixes) {
            SymbolClass::Fx
        } else {
            SymbolClass::Other
        }
    }

    fn class_named(&self, name: &str) -> Option<SymbolClass> {
        self.named.iter().find(|(one, _)| one == name).map(|(_, class)| *class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_beats_its_prefix_and_a_prefix_beats_the_spelling() {
        let named = |name: &str, class: &str| {
            (name.to_owned(), SymbolClass::parse(class).expect("a class"))
        };
        let rule = ClassRule {
            crypto_prefixes: vec!["BINANCE".into()],
            fx_prefixes: vec!["OANDA".into()],
            named: vec![
                named("BTCUSD", "crypto"),
                named("NYSE:*", "us_stock"),
                named("NYSE:INDEX", "other"),
                named("OANDA:XAU_USD", "other"),
            ],
        };
        let cases = [
            ("AAPL", SymbolClass::UsStock),
            ("BRK.B", SymbolClass::UsStock),
            ("BTCUSD", SymbolClass::Crypto),
            ("BTCUSDT", SymbolClass::UsStock),
            ("BINANCE:BTCUSDT", SymbolClass::Crypto),
            ("OANDA:EUR_USD", SymbolClass::Fx),
            ("OANDA:XAU_USD", SymbolClass::Other),
            ("NYSE:IBM", SymbolClass::UsStock),
            ("NYSE:INDEX", SymbolClass::Other),
            ("NYSE", SymbolClass::UsStock),
            ("LSE:VOD", SymbolClass::Other),
            ("BINANCE", SymbolClass::UsStock),
            (":", SymbolClass::Other),
        ];
        for (symbol, class) in cases {
            assert_eq!(rule.class_of(symbol), class, "{symbol}");
        }
    }
}
