//! Schemas of what is answered: of rows from the columns that write them, of documents by hand,
//! held against the documents by tests.

use serde_json::{Map, Value, json};

use crate::codec::table::{Column, Kind, Row};
use crate::model::{Bar, BarRevision, ExclusionReason, FeedEventKind, FeedGap, Judged};

/// All of them by name.
pub(super) fn all() -> Value {
    json!({
        "Bar": row::<Bar>(),
        "Trade": row::<Judged>(),
        "Gap": row::<FeedGap>(),
        "Revision": row::<BarRevision>(),
        "Counts": counts("integer"),
        "Rates": counts("number"),
        "State": state(),
        "Symbols": symbols(),
        "Explanation": explanation(),
        "Indicators": indicators(),
        "Overview": overview(),
        "ExplainedTrade": explained_trade(),
        "Share": share(),
        "Problem": problem(),
        "OpenApi": { "type": "object", "required": ["openapi", "info", "paths"] },
    })
}

pub(super) fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A page of rows in JSON.
pub(super) fn listing(schema: &str, name: &str, about: &[&str]) -> Value {
    let about = about.iter().map(|text| (*text, kind("string")));
    let rows = (name, list(named(schema)));
    let next = json!({
        "type": ["string", "null"],
        "description": "Path and query of the page of older rows; null: there is none.",
    });
    object(about.chain([rows, ("next", next)]))
}

fn row<R: Row>() -> Value {
    object(R::columns().iter().map(|column| (&*column.name, cell(column))))
}

fn cell<R>(column: &Column<R>) -> Value {
    let mut schema = match &column.kind {
        Kind::Text => kind("string"),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Integer | Kind::Instant => json!({ "type": "integer", "format": "int64" }),
        Kind::Real => json!({ "type": "number", "format": "double" }),
    };
    if column.is_nullable {
        schema["type"] = json!([schema["type"], "null"]);
        if let Some(Value::Array(words)) = schema.get_mut("enum") {
            words.push(Value::Null);
        }
    }
    schema["description"] = json!(column.meaning);
    schema
}

/// An object that has exactly these fields.
fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let properties: Map<String, Value> =
        fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let required: Vec<&String> = properties.keys().collect();
    let required = json!(required);
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn kind(name: &str) -> Value {
    json!({ "type": name })
}

fn nullable(name: &str) -> Value {
    json!({ "type": [name, "null"] })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// The fields of a row, and some more.
fn extended<'a, R: Row>(more: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let fields = R::columns().iter().map(|column| (&*column.name, cell(column)));
    object(fields.chain(more))
}

const DISPOSITIONS: [&str; 6] = ["merged", "duplicate", "rejected", "late", "control", "total"];

fn counts(number: &str) -> Value {
    object(DISPOSITIONS.map(|name| (name, kind(number))))
}

fn state() -> Value {
    let feed = object([
        ("source", kind("string")),
        ("state", words(&["starting", "connected", "disconnected"])),
        ("detail", kind("string")),
    ]);
    let partition = object([
        ("partition", kind("integer")),
        ("next_offset", kind("integer")),
        ("end_offset", kind("integer")),
        ("watermark", nullable("integer")),
        ("open_windows", kind("integer")),
        ("counts", named("Counts")),
    ]);
    let diverted =
        [("disposition", kind("string")), ("reason", kind("string")), ("count", kind("integer"))];
    let bars = ["provisional", "closed", "corrected"].map(|name| (name, kind("integer")));
    let mut state = object([
        ("now", kind("integer")),
        ("feed", feed),
        ("symbols", kind("integer")),
        ("counts", named("Counts")),
        ("bars", object(bars)),
        ("rates", named("Rates")),
        ("lag_records", kind("integer")),
        ("watermark", nullable("integer")),
        ("open_windows", kind("integer")),
        ("flush_us", kind("integer")),
        ("commit_us", kind("integer")),
        ("diverted", list(object(diverted))),
        ("partitions", list(partition)),
    ]);
    state["required"] = json!(["now", "feed", "symbols"]);
    let of_serve = "Of `ticksmith serve`, which has no pipeline, only what is required.";
    state["description"] = json!(of_serve);
    state
}

fn symbols() -> Value {
    object([
        ("symbols", list(kind("string"))),
        ("intervals", list(kind("string"))),
        ("version", kind("string")),
    ])
}

fn indicators() -> Value {
    let values = json!({
        "type": "object",
        "description": "ts, and a number or null for each line of each indicator.",
        "properties": { "ts": { "type": "integer" } },
        "required": ["ts"],
        "additionalProperties": { "type": ["number", "null"] },
    });
    object([
        ("symbol", kind("string")),
        ("interval", kind("string")),
        ("names", list(kind("string"))),
        ("values", list(values)),
    ])
}

fn overview() -> Value {
    let bar = object([
        ("ts", kind("integer")),
        ("close", nullable("number")),
        ("volume", kind("number")),
        ("coverage", nullable("number")),
        ("gap_ms", kind("integer")),
        ("verdict", kind("string")),
        ("state", kind("string")),
    ]);
    let symbol = object([
        ("symbol", kind("string")),
        ("last", nullable("number")),
        ("last_time", nullable("integer")),
        ("reference", nullable("number")),
        ("reference_time", nullable("integer")),
        ("change_percent", nullable("number")),
        ("volume", nullable("number")),
        ("turnover", kind("number")),
        ("trade_count", kind("integer")),
        ("coverage", nullable("number")),
        ("gap_ms", kind("integer")),
        ("session", nullable("string")),
        ("bars", list(bar)),
    ]);
    object([
        ("now", kind("integer")),
        ("interval", kind("string")),
        ("symbols", list(symbol)),
        ("hidden", kind("integer")),
    ])
}

fn problem() -> Value {
    object([
        ("type", kind("string")),
        ("title", kind("string")),
        ("status", kind("integer")),
        ("detail", kind("string")),
    ])
}

fn share() -> Value {
    object([
        ("volume", kind("number")),
        ("volume_exact", kind("string")),
        ("count", kind("integer")),
    ])
}

/// The fields of a share, after others.
fn share_of<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let share = [("volume", "number"), ("volume_exact", "string"), ("count", "integer")];
    object(fields.into_iter().chain(share.map(|(name, type_name)| (name, kind(type_name)))))
}

fn explained_trade() -> Value {
    let reasons = ExclusionReason::ALL.iter().map(|reason| json!(reason.as_str()));
    let reasons: Vec<Value> = reasons.chain([Value::Null]).collect();
    let meaning = object([("code", kind("string")), ("name", nullable("string"))]);
    extended::<Judged>([
        ("exclusion", json!({ "type": ["string", "null"], "enum": reasons })),
        ("meanings", list(meaning)),
        ("why", kind("string")),
    ])
}

fn explanation() -> Value {
    let either = |name: &str| json!({ "anyOf": [named(name), { "type": "null" }] });
    let texts = |names: [&'static str; 3]| object(names.map(|name| (name, kind("string"))));
    let diverted =
        [("disposition", kind("string")), ("reason", kind("string")), ("count", kind("integer"))];
    let agreements = ["no_bar", "sample", "follows", "differs", "trades_gone"];
    object([
        ("symbol", kind("string")),
        ("interval", kind("string")),
        ("ts", kind("integer")),
        ("window_end", kind("integer")),
        ("bar", either("Bar")),
        ("completeness", kind("string")),
        ("agreement", words(&agreements)),
        ("agreement_text", kind("string")),
        ("differences", list(texts(["column", "stored", "recomputed"]))),
        ("policy", kind("string")),
        ("conditions_version", kind("integer")),
        ("prices", list(price_setter())),
        ("volume_split", volume_split()),
        ("excluded", listed()),
        ("late", listed()),
        ("diverted", list(object(diverted))),
        ("gaps", list(extended::<FeedGap>([("inside_ms", kind("integer"))]))),
        ("unlisted_gap_ms", kind("integer")),
        ("events", list(feed_event())),
        ("revisions", list(named("Revision"))),
    ])
}

fn price_setter() -> Value {
    object([
        ("name", words(&["open", "high", "low", "close"])),
        ("price", kind("number")),
        ("ts", kind("integer")),
        ("connection", kind("integer")),
        ("seq", kind("integer")),
        ("why", kind("string")),
        ("trade", json!({ "anyOf": [named("ExplainedTrade"), { "type": "null" }] })),
    ])
}

fn volume_split() -> Value {
    let forbidden = share_of([("code", kind("string")), ("name", nullable("string"))]);
    object([
        ("sets_price", named("Share")),
        ("excluded", list(share_of([("reason", kind("string"))]))),
        ("counted", named("Share")),
        ("forbidden", list(forbidden)),
        ("price_updates", kind("integer")),
    ])
}

fn listed() -> Value {
    object([("trades", list(named("ExplainedTrade"))), ("hidden", kind("integer"))])
}

fn feed_event() -> Value {
    let kinds = FeedEventKind::ALL.map(FeedEventKind::as_str);
    object([
        ("at", kind("integer")),
        ("connection", kind("integer")),
        ("seq", kind("integer")),
        ("kind", words(&kinds)),
        ("feed", kind("string")),
        ("feed_time", nullable("integer")),
        ("lost_records", kind("integer")),
        ("detail", kind("string")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::StateView;
    use crate::port::{BeatReport, PartitionReport};

    fn names(value: &Value) -> Vec<&String> {
        value.as_object().expect("an object").keys().collect()
    }

    #[test]
    fn the_state_of_a_pipeline_has_the_fields_that_are_described() {
        let report = BeatReport {
            partitions: vec![PartitionReport {
                partition: 0,
                next_offset: 1,
                end_offset: 2,
                watermark_ms: None,
                open_windows: 0,
                tally: Default::default(),
            }],
            ..BeatReport::default()
        };
        let shown = serde_json::to_value(StateView::of(&report)).expect("json");
        let schema = state();
        assert_eq!(names(&shown), names(&schema["properties"]));
        let inner = |name: &str| names(&schema["properties"][name]["properties"]);
        assert_eq!(names(&shown["feed"]), inner("feed"));
        assert_eq!(names(&shown["bars"]), inner("bars"));
        for (name, described) in [("counts", counts("integer")), ("rates", counts("number"))] {
            assert_eq!(names(&shown[name]), names(&described["properties"]), "{name}");
        }
        let partition = &schema["properties"]["partitions"]["items"]["properties"];
        assert_eq!(names(&shown["partitions"][0]), names(partition));
    }

    #[test]
    fn what_may_be_null_is_said_to() {
        let schema = row::<Bar>();
        let field = |name: &str| schema["properties"][name].clone();
        assert_eq!(field("open")["type"], json!(["number", "null"]));
        assert_eq!(field("volume")["type"], "number");
        let sessions = field("session")["enum"].as_array().cloned().expect("words");
        assert!(sessions.contains(&json!("regular")) && sessions.contains(&Value::Null));
        assert!(field("open").get("enum").is_none());
        let required = schema["required"].as_array().map(Vec::len);
        assert_eq!(required, Some(Bar::columns().len()));
    }
}
