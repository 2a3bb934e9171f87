//! The market's trades as the feed sends them.

use ticksmith::model::Trade;

/// A frame of the feed with these trades, as Finnhub spells it.
pub fn frame(trades: &[Trade]) -> String {
    let element = |trade: &Trade| {
        let codes = trade.conditions.iter().flatten();
        let codes: Vec<String> = codes.map(|code| format!("\"{code}\"")).collect();
        format!(
            r#"{{"c":[{}],"p":{},"s":"{}","t":{},"v":{}}}"#,
            codes.join(","),
            trade.price,
            trade.symbol,
            trade.trade_time_ms,
            trade.volume
        )
    };
    let elements: Vec<String> = trades.iter().map(element).collect();
    format!(r#"{{"data":[{}],"type":"trade"}}"#, elements.join(","))
}
