//! Finnhub's JSON frames to nouns. One bad element must not cost its neighbours, and no digit that
//! the feed sent may be lost unseen.

use std::borrow::Cow;

use compact_str::CompactString;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{Conditions, Element, FeedTrade, Frame, MalformedElement};

#[derive(Deserialize)]
#[serde(expecting = "a frame")]
struct RawFrame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
}

/// A frame of trades of which each is as it should be: nearly every frame, read in one pass.
#[derive(Deserialize)]
struct SoundFrame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Vec<RawElement<'a>>,
    /// Of no use here, but a text in every frame that `RawFrame` takes.
    #[serde(default, rename = "msg")]
    _message: Option<String>,
}

#[derive(Deserialize)]
#[serde(expecting = "a trade")]
struct RawElement<'a> {
    s: CompactString,
    #[serde(borrow)]
    p: &'a RawValue,
    #[serde(borrow)]
    v: &'a RawValue,
    t: i64,
    #[serde(default)]
    c: Option<Conditions>,
}

/// Takes one message apart. Never fails: what cannot be read comes back as `Malformed`.
pub fn decode(raw: &str) -> Frame {
    decode_sound(raw).unwrap_or_else(|| decode_by_element(raw))
}

/// `None`: it is something else than sound trades, and has to be looked at piece by piece.
fn decode_sound(raw: &str) -> Option<Frame> {
    let frame: SoundFrame<'_> = serde_json::from_str(raw).ok()?;
    if frame.kind != "trade" {
        return None;
    }
    let trades = frame.data.into_iter().map(|element| trade_of(element).map(Element::Trade));
    trades.collect::<Result<_, _>>().ok().map(Frame::Trades)
}

fn decode_by_element(raw: &str) -> Frame {
    let frame: RawFrame<'_> = match serde_json::from_str(raw) {
        Ok(frame) => frame,
        Err(error) => return malformed(format!("not a JSON frame: {error}")),
    };
    match frame.kind.as_deref() {
        Some("trade") => match frame.data {
            Some(data) => decode_elements(data),
            None => malformed("a trade frame without data".into()),
        },
        Some("ping") => Frame::Ping,
        Some("error") => Frame::Error { message: frame.msg.unwrap_or_default().into_owned() },
        Some(other) => malformed(format!("unknown frame type '{}'", shortened(other))),
        None => malformed("a frame without type".into()),
    }
}

/// The feed's sign of life.
pub const PING: &str = r#"{"type":"ping"}"#;

/// A text as a JSON string, quotes included.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The message that asks for a symbol's trades.
pub fn subscribe_request(symbol: &str) -> String {
    serde_json::json!({"type": "subscribe", "symbol": symbol}).to_string()
}

/// The message by which the feed reports a problem.
pub fn error_message(message: &str) -> String {
    serde_json::json!({"msg": message, "type": "error"}).to_string()
}

/// What a client asks of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Subscribe(String),
    Unsubscribe(String),
}

/// `None`: no request that the feed knows.
pub fn decode_request(raw: &str) -> Option<Request> {
    #[derive(Deserialize)]
    struct RawRequest {
        #[serde(rename = "type")]
        kind: String,
        symbol: String,
    }
    let request: RawRequest = serde_json::from_str(raw).ok()?;
    match request.kind.as_str() {
        "subscribe" => Some(Request::Subscribe(request.symbol)),
        "unsubscribe" => Some(Request::Unsubscribe(request.symbol)),
        _ => None,
    }
}

/// One element of a recorded frame, for whoever hands it on unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementText<'a> {
    /// As recorded.
    pub text: &'a str,
    pub symbol: Option<String>,
    pub trade_time_ms: Option<i64>,
}

/// The elements of a recorded trade frame; `None`: it is none.
pub fn element_texts(raw: &str) -> Option<Vec<ElementText<'_>>> {
    #[derive(Deserialize)]
    struct Peek {
        s: Option<String>,
        t: Option<i64>,
    }
    let frame: RawFrame<'_> = serde_json::from_str(raw).ok()?;
    let data = frame.data.filter(|_| frame.kind.as_deref() == Some("trade"))?;
    let elements: Vec<&RawValue> = serde_json::from_str(data.get()).ok()?;
    Some(
        elements
            .into_iter()
            .map(|element| {
                let peek: Option<Peek> = serde_json::from_str(element.get()).ok();
                let (symbol, trade_time_ms) = peek.map_or((None, None), |peek| (peek.s, peek.t));
                ElementText { text: element.get(), symbol, trade_time_ms }
            })
            .collect(),
    )
}

/// A line of a recording: the frame itself, or an object that holds its text as `raw`.
pub fn recorded_frame(line: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Wrapped {
        raw: String,
    }
    match serde_json::from_str::<Wrapped>(line) {
        Ok(wrapped) => Cow::Owned(wrapped.raw),
        Err(_) => Cow::Borrowed(line),
    }
}

fn malformed(problem: String) -> Frame {
    Frame::Malformed { problem }
}

/// A text of the feed, cut so that it fits a log line.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

fn decode_elements(data: &RawValue) -> Frame {
    let elements: Vec<&RawValue> = match serde_json::from_str(data.get()) {
        Ok(elements) => elements,
        Err(error) => return malformed(format!("data is not an array: {error}")),
    };
    Frame::Trades(elements.into_iter().map(|element| decode_element(element.get())).collect())
}

fn decode_element(raw: &str) -> Element {
    match decode_trade(raw) {
        Ok(trade) => Element::Trade(trade),
        Err(problem) => Element::Malformed(MalformedElement {
            raw: raw.to_owned(),
            symbol: symbol_of(raw),
            problem,
        }),
    }
}

fn decode_trade(raw: &str) -> Result<FeedTrade, String> {
    trade_of(serde_json::from_str(raw).map_err(|error| error.to_string())?)
}

fn trade_of(element: RawElement<'_>) -> Result<FeedTrade, String> {
    let (price, inexact_price) = number(element.p.get()).ok_or("`p` is not a number")?;
    let (volume, inexact_volume) = number(element.v.get()).ok_or("`v` is not a number")?;
    Ok(FeedTrade {
        symbol: element.s,
        price,
        volume,
        trade_time_ms: element.t,
        conditions: element.c,
        inexact_numbers: u8::from(inexact_price) + u8::from(inexact_volume),
    })
}

/// The symbol of an element that is otherwise broken.
fn symbol_of(raw: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct OnlySymbol {
        s: Option<String>,
    }
    serde_json::from_str::<OnlySymbol>(raw).ok()?.s
}

/// The nearest double of a JSON number, and whether the text said more than the double keeps.
fn number(text: &str) -> Option<(f64, bool)> {
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // Up to 15 significant digits always survive; 16 characters hold 15 digits and a point.
    let inexact = text.len() > 16 && decimal(text) != decimal(&format!("{value:e}"));
    Some((value, inexact))
}

/// Significant digits and the power of ten of the first one: equal exactly for equal numbers.
fn decimal(text: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let leading_zeros = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_matches('0').to_owned();
    if significant.is_empty() {
        return (false, significant, 0);
    }
    let exponent: i64 = exponent.parse().unwrap_or(i64::MAX / 2);
    let places = whole.len() as i64 - leading_zeros as i64;
    (negative, significant, exponent.saturating_add(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(raw: &str) -> Vec<Element> {
        match decode(raw) {
            Frame::Trades(elements) => elements,
            other => panic!("not a trade frame: {other:?}"),
        }
    }

    fn only_trade(raw_element: &str) -> FeedTrade {
        match decode_element(raw_element) {
            Element::Trade(trade) => trade,
            Element::Malformed(element) => panic!("{}", element.problem),
        }
    }

    #[test]
    fn conditions_come_as_array_null_empty_or_not_at_all() {
        let cases: [(&str, Option<&[&str]>); 4] = [
            (
                r#"{"c":["1","8","24","12"],"p":1,"s":"A","t":1,"v":1}"#,
                Some(&["1", "8", "24", "12"]),
            ),
            (r#"{"c":[],"p":1,"s":"A","t":1,"v":1}"#, Some(&[])),
            (r#"{"c":null,"p":1,"s":"A","t":1,"v":1}"#, None),
            (r#"{"p":1,"s":"A","t":1,"v":1}"#, None),
        ];
        for (raw, expected) in cases {
            let expected: Option<Conditions> =
                expected.map(|codes| codes.iter().copied().map(Into::into).collect());
            assert_eq!(only_trade(raw).conditions, expected, "{raw}");
        }
    }

    #[test]
    fn codes_are_kept_as_they_were_sent() {
        let thirty: Vec<String> = (1..=30).map(|code| format!("\"{code}\"")).collect();
        let codes = [r#""12","12","1""#, r#""","x"," 12","-1","٣","\u0031""#, &thirty.join(",")];
        for (codes, count) in codes.into_iter().zip([3, 6, 30]) {
            let trade = only_trade(&format!(r#"{{"c":[{codes}],"p":1,"s":"A","t":1,"v":1}}"#));
            let kept = trade.conditions.expect("codes");
            assert_eq!(kept.len(), count);
            assert_eq!(Ok(kept), serde_json::from_str(&format!("[{codes}]")).map_err(drop));
        }
    }

    #[test]
    fn codes_of_another_shape_cost_their_trade_and_no_other() {
        let shapes =
            [r#""12""#, "12", "[12]", "[null]", r#"["1",null]"#, r#"[["12"]]"#, "{}", "false"];
        for codes in shapes {
            let bad = format!(r#"{{"c":{codes},"p":1,"s":"A","t":1,"v":1}}"#);
            let frame = format!(
                r#"{{"data":[{bad},{{"c":["12"],"p":1,"s":"A","t":1,"v":1}}],"type":"trade"}}"#
            );
            let elements = elements(&frame);
            let [Element::Malformed(element), Element::Trade(_)] = elements.as_slice() else {
                panic!("{codes}: {elements:?}")
            };
            let told = (element.raw.as_str(), element.symbol.as_deref());
            assert_eq!(told, (bad.as_str(), Some("A")));
            assert!(!element.problem.is_empty());
        }
    }

    #[test]
    fn every_double_is_the_nearest_one_and_lost_digits_are_counted() {
        let cases = [
            ("222457", 222457.0, 0),
            ("0.000004", 0.000004, 0),
            ("0.30000000000000004", 0.30000000000000004, 0),
            ("0.3000000000000000444", 0.30000000000000004, 1),
            ("123456789012345678", 123456789012345680.0, 1),
            ("100000000000000000000", 1e20, 0),
            ("1.50000000000000000000", 1.5, 0),
            ("1e-7", 1e-7, 0),
            ("0.00000000000000000000", 0.0, 0),
            ("-1", -1.0, 0),
            ("1e9223372036854775807", f64::INFINITY, 1),
            ("1e-9223372036854775808", 0.0, 1),
        ];
        for (text, value, inexact) in cases {
            let trade = only_trade(&format!(r#"{{"p":{text},"s":"A","t":1,"v":0}}"#));
            assert_eq!((trade.price, trade.inexact_numbers), (value, inexact), "{text}");
        }
    }

    #[test]
    fn a_bad_element_keeps_its_text_and_spares_its_neighbours() {
        let good = r#"{"p":1.5,"s":"A","t":1,"v":2}"#;
        let bad = [
            (r#"{"p":1500,"s":"OANDA:USD_KRW","v":1}"#, Some("OANDA:USD_KRW")),
            (r#"{"p":"1.5","s":"A","t":1,"v":2}"#, Some("A")),
            (r#"{"p":1.5,"t":1,"v":2}"#, None),
            (r#"{"p":1.5,"s":"A","t":1}"#, Some("A")),
            (r#"{"p":1.5,"s":"A","t":"now","v":2}"#, Some("A")),
            (r#"{"c":[1],"p":1.5,"s":"A","t":1,"v":2}"#, Some("A")),
            ("17", None),
            ("null", None),
        ];
        for (raw, symbol) in bad {
            let frame = format!(r#"{{"data":[{good},{raw},{good}],"type":"trade"}}"#);
            let elements = elements(&frame);
            assert!(matches!(elements[0], Element::Trade(_)) && elements[0] == elements[2]);
            let Element::Malformed(element) = &elements[1] else { panic!("{raw} passed") };
            assert_eq!((element.raw.as_str(), element.symbol.as_deref()), (raw, symbol));
        }
    }

    #[test]
    fn one_pass_and_piece_by_piece_come_to_the_same() {
        let elements = [
            r#"{"c":["1","12"],"p":1.5,"s":"A","t":1,"v":2}"#,
            r#"{"c":null,"p":0.3000000000000000444,"s":"\u0041","t":1,"v":2}"#,
            r#"{"p":"1.5","s":"A","t":1,"v":2}"#,
            r#"{"p":1,"p":2,"s":"A","t":1,"v":2}"#,
            r#"["A",1,2,3,null]"#,
        ];
        let ends = ["", r#","msg":null"#, r#","msg":7"#, r#","data":[]"#, r#","more":{}"#];
        for (first, second) in elements.iter().flat_map(|one| elements.map(|two| (one, two))) {
            for (kind, end) in ["trade", "news"].iter().flat_map(|kind| ends.map(|end| (kind, end)))
            {
                let frame = format!(r#"{{"data":[{first},{second}],"type":"{kind}"{end}}}"#);
                let sound = decode_sound(&frame);
                assert!(sound.is_none_or(|sound| sound == decode_by_element(&frame)), "{frame}");
            }
        }
        let sound = format!(r#"{{"data":[{}],"type":"trade"}}"#, elements[0]);
        assert!(decode_sound(&sound).is_some());
    }

    #[test]
    fn frames_that_are_no_trades_are_named() {
        assert_eq!(decode(r#"{"type":"ping"}"#), Frame::Ping);
        assert_eq!(
            decode(r#"{"msg":"Invalid symbol FX:EURUSD","type":"error"}"#),
            Frame::Error { message: "Invalid symbol FX:EURUSD".into() }
        );
        assert_eq!(decode(r#"{"data":[],"type":"trade"}"#), Frame::Trades(vec![]));
        for raw in [
            "",
            "[]",
            "null",
            "{",
            r#""data":[{"c":["1"]"#,
            r#"{"type":7}"#,
            r#"{"type":"trade"}"#,
            r#"{"data":{},"type":"trade"}"#,
            r#"{"data":[],"type":"message"}"#,
            r#"{"dta":[],"type":"trade"}"#,
            r#"{"data":[{"c":["1","p":146.76,"s":"A","t":1,"v":1}],"type":"trade"}"#,
        ] {
            assert!(matches!(decode(raw), Frame::Malformed { .. }), "{raw}");
        }
    }
}
