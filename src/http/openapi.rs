//! The description of the API for programs (OpenAPI 3.1), made from the very tables that the
//! router, the parameters and the rows are made from.

mod schemas;

use serde_json::{Map, Value, json};

use super::asked::{
    INSTANT_MAX_MS, INSTANT_MIN_MS, LIMIT_DEFAULT, LIMIT_MAX, Parameter, SYMBOLS_MAX,
};
use super::format::Format;
use super::indicators::Name;
use super::live_reader::KINDS;
use super::market::TIERS;
use super::operations::{Answered, OPERATIONS, Operation};
use super::page::Key;

const DESCRIPTION: &str = "Bars, trades, gaps and corrections of ticksmith. Instants are \
    milliseconds since the UNIX epoch, ranges hold their start and not their end, and fields are \
    named as the columns of the tables.";

/// The document, for a store that has bars of these intervals.
pub(super) fn document(intervals: &[String]) -> Value {
    let paths: Map<String, Value> = OPERATIONS
        .iter()
        .map(|operation| (operation.path.to_owned(), json!({ "get": get(operation, intervals) })))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ticksmith",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        // With `http.token` one of the two is needed, without it none.
        "security": [{}, { "bearer": [] }, { "basic": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "responses": { "Problem": problem_response() },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "basic": { "type": "http", "scheme": "basic" },
            },
        },
    })
}

fn get(operation: &Operation, intervals: &[String]) -> Value {
    let has_symbol = operation.path.contains("{symbol}");
    let of_path = has_symbol.then(symbol_of_path);
    let of_query = operation.parameters.iter().map(|one| of_query(*one, intervals));
    let parameters: Vec<Value> = of_path.into_iter().chain(of_query).collect();
    json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses(operation),
    })
}

fn symbol_of_path() -> Value {
    json!({
        "name": "symbol",
        "in": "path",
        "required": true,
        "description": "As the feed spells it, percent-encoded: AAPL, BINANCE%3ABTCUSDT.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 64 },
    })
}

fn of_query(parameter: Parameter, intervals: &[String]) -> Value {
    let (description, schema) = described(parameter, intervals);
    let mut value = json!({
        "name": parameter.name(),
        "in": "query",
        "required": parameter == Parameter::At,
        "description": description,
        "schema": schema,
    });
    if schema["type"] == "array" {
        value["style"] = json!("form");
        value["explode"] = json!(false);
    }
    value
}

const CURSOR: &str = "Where the page before ended: from its Link header, or `next`.";

/// What it means, and what it may be.
fn described(parameter: Parameter, intervals: &[String]) -> (&'static str, Value) {
    match parameter {
        Parameter::Interval => {
            let meaning = "Length of the bars; of rows, the first unless told, of updates, all.";
            (meaning, json!({ "enum": intervals }))
        }
        Parameter::Tier => {
            let meaning = "silver: validated trades without repeats; bronze: all as received.";
            let words = TIERS.map(|(word, _)| word);
            (meaning, json!({ "enum": words, "default": words[0] }))
        }
        Parameter::From => ("From this instant on.", instant()),
        Parameter::To => ("Up to this instant, which is not in it.", instant()),
        Parameter::At => ("Any instant in the bar.", instant()),
        Parameter::Limit => {
            let meaning = "At most so many rows; of a range the newest.";
            let (least, most, default) = (1, LIMIT_MAX, LIMIT_DEFAULT);
            let bounds =
                json!({ "type": "integer", "minimum": least, "maximum": most, "default": default });
            (meaning, bounds)
        }
        Parameter::Cursor => (CURSOR, json!({ "type": "string", "pattern": Key::PATTERN })),
        Parameter::SymbolCursor => (CURSOR, json!({ "type": "string" })),
        Parameter::Format => {
            let meaning = "The form of the answer; without it the Accept header decides.";
            (meaning, json!({ "enum": Format::ALL.map(Format::name) }))
        }
        Parameter::Symbol => ("Only of this symbol.", json!({ "type": "string" })),
        Parameter::Symbols => {
            let items = json!({ "type": "string", "pattern": "^[^,]+$" });
            let list = json!({
                "type": "array", "items": items, "minItems": 1, "maxItems": SYMBOLS_MAX,
            });
            ("Only of these symbols.", list)
        }
        Parameter::Events => {
            let items = json!({ "enum": KINDS });
            let list = json!({ "type": "array", "items": items, "minItems": 1 });
            ("Only these updates.", list)
        }
        Parameter::Names => {
            let items = json!({ "enum": Name::ALL.map(Name::as_str) });
            ("Only these indicators.", json!({ "type": "array", "items": items, "minItems": 1 }))
        }
    }
}

fn instant() -> Value {
    json!({ "anyOf": [
        { "type": "integer", "minimum": INSTANT_MIN_MS, "maximum": INSTANT_MAX_MS },
        { "type": "string", "format": "date-time" },
    ]})
}

fn responses(operation: &Operation) -> Value {
    let problem = || json!({ "$ref": "#/components/responses/Problem" });
    let mut responses = match operation.answered {
        Answered::Rows { schema, name, about } => json!({
            "200": rows_response(schema, name, about),
            "304": unchanged(),
            "406": problem(),
        }),
        Answered::Document(schema) => json!({
            "200": {
                "description": "The document.",
                "content": { Format::Json.essence(): { "schema": schemas::named(schema) } },
            },
            "304": unchanged(),
        }),
        Answered::Events => json!({ "200": events_response() }),
        Answered::Socket => json!({
            "101": { "description": SOCKET },
            "403": problem(),
            "426": problem(),
        }),
    };
    let of_symbols = operation.path.contains("{symbol}") || operation.id == "latest";
    let known = ["401", "422", "500", "503"].into_iter().chain(of_symbols.then_some("404"));
    for status in known {
        responses[status] = problem();
    }
    responses
}

fn rows_response(schema: &str, name: &str, about: &[&str]) -> Value {
    let content: Map<String, Value> = Format::ALL
        .into_iter()
        .map(|format| {
            let schema = match format {
                Format::Json => schemas::listing(schema, name, about),
                Format::Csv => json!({ "type": "string" }),
                Format::Arrow | Format::Parquet => json!({}),
            };
            (format.essence().to_owned(), json!({ "schema": schema }))
        })
        .collect();
    json!({
        "description": "The rows.",
        "content": content,
        "headers": {
            "ETag": { "schema": { "type": "string" }, "description": "For If-None-Match." },
            "Link": {
                "schema": { "type": "string" },
                "description": "The page of older rows (rel=next), when there is one.",
            },
        },
    })
}

fn unchanged() -> Value {
    json!({ "description": "The reader has it: If-None-Match named its tag." })
}

const EVENTS: &str = "Events `bars` (array of Bar), `trades` (array of Trade), `quotes` (array of \
    symbol, price and ts), `state` (State), and `missed`: the reader was too slow for some bars \
    and should read them again.";
const SOCKET: &str = "Text frames {\"event\": …, \"data\": …} with the events of /api/v1/stream. \
    A reader may send {\"symbols\": [\"AAPL\"], \"interval\": \"5m\"} to follow others; it is told \
    `following`, or `problem`.";

fn events_response() -> Value {
    let content = json!({ "text/event-stream": { "schema": { "type": "string" } } });
    json!({ "description": EVENTS, "content": content })
}

fn problem_response() -> Value {
    let schema = schemas::named("Problem");
    json!({
        "description": "Why there is no answer (RFC 9457).",
        "content": { "application/problem+json": { "schema": schema } },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(target)) = object.get("$ref") {
                    found.insert(target.clone());
                }
                object.values().for_each(|inner| references(inner, found));
            }
            Value::Array(array) => array.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
        let document = document(&["5m".to_owned(), "1h".to_owned()]);
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 8, "{found:?}");
        for target in &found {
            let pointer = target.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
        let ids: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
        assert_eq!(ids.len(), OPERATIONS.len());
        let interval = document.pointer("/paths/~1api~1v1~1bars~1{symbol}/get/parameters/1/schema");
        assert_eq!(interval.expect("a parameter")["enum"], json!(["5m", "1h"]));
    }
}
