//! The class of a symbol, from its spelling: it decides the default policy and what volume 0 means.

/// What kind of instrument a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SymbolClass {
    /// No `:` in the symbol: the consolidated tape's rules apply.
    UsStock,
    Crypto,
    Fx,
    Other,
}

/// Prefixes before `:` by class.
#[derive(Debug, Clone, Default)]
pub struct ClassRule {
    pub crypto_prefixes: Vec<String>,
    pub fx_prefixes: Vec<String>,
}

impl ClassRule {
    pub fn class_of(&self, symbol: &str) -> SymbolClass {
        let Some((prefix, _)) = symbol.split_once(':') else { return SymbolClass::UsStock };
        let listed = |prefixes: &[String]| prefixes.iter().any(|one| one == prefix);
        if listed(&self.crypto_prefixes) {
            SymbolClass::Crypto
        } else if listed(&self.fx_prefixes) {
            SymbolClass::Fx
        } else {
            SymbolClass::Other
        }
    }
}
