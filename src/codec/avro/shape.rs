//! What a schema of another writer may look like: whoever may register one decides how much memory
//! and stack a record of it takes, so what could come to much from few bytes is refused.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{
    FixedSchema, InnerDecimalSchema, Name, RecordSchema, UnionSchema, UuidSchema,
};
use serde_json::Value;

use super::schema::ALLOCATION_BYTES_MAX;

/// Records, arrays, maps and unions within each other. Each level of arrays may ask for
/// `ALLOCATION_BYTES_MAX`, and each level of any takes stack.
const DEPTH_MAX: usize = 16;
/// Values that take no bytes: as many may stand in each item of an array.
const BYTELESS_MAX: usize = 16;

/// Refuses what the vendor takes as a schema and then panics over, when it reduces the schema to
/// its canonical form: attributes of another kind than the specification gives them.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    if is_reducible(&schema) { Ok(()) } else { Err("attributes of a wrong kind".to_owned()) }
}

fn is_reducible(schema: &Value) -> bool {
    match schema {
        Value::String(_) => true,
        Value::Array(parts) => parts.iter().all(is_reducible),
        Value::Object(attributes) => attributes.iter().all(|(name, value)| match name.as_str() {
            "size" | "precision" | "scale" => value.is_i64(),
            "name" | "type" | "fields" | "symbols" | "items" | "values" | "order" => {
                is_reducible(value)
            }
            _ => true,
        }),
        _ => false,
    }
}

/// A schema with every name in it followed.
#[derive(Clone, Copy, Default)]
struct Shape {
    depth: usize,
    /// Values in it that take no bytes.
    byteless: usize,
    takes_bytes: bool,
}

const LEAF: Shape = Shape { depth: 1, byteless: 0, takes_bytes: true };
const NOTHING: Shape = Shape { depth: 1, byteless: 1, takes_bytes: false };

/// `None`: a record whose fields are being looked at.
type Known<'s> = HashMap<&'s Name, Option<Shape>>;

/// The error is a clause on what is too much.
pub(super) fn check(schema: &Schema) -> Result<(), String> {
    shape_of(schema, 0, &mut Known::new()).map(drop)
}

fn shape_of<'s>(schema: &'s Schema, above: usize, known: &mut Known<'s>) -> Result<Shape, String> {
    let shape = match schema {
        Schema::Null => NOTHING,
        Schema::Ref { name } => match known.get(name) {
            Some(Some(shape)) => *shape,
            Some(None) => return Err(format!("record {name} contains itself")),
            None => return Err(format!("{name} is not defined before it is used")),
        },
        Schema::Record(record) => record_shape(record, above + 1, known)?,
        Schema::Array(array) => {
            let items = shape_of(&array.items, above + 1, known)?;
            if !items.takes_bytes {
                return Err("an array whose items take no bytes".to_owned());
            }
            Shape { depth: items.depth + 1, ..items }
        }
        Schema::Map(map) => {
            let values = shape_of(&map.types, above + 1, known)?;
            Shape { depth: values.depth + 1, takes_bytes: true, ..values }
        }
        Schema::Union(union) => union_shape(union, above + 1, known)?,
        Schema::Enum(kinds) => {
            known.insert(&kinds.name, Some(LEAF));
            LEAF
        }
        _ => fixed_of(schema).map_or(Ok(LEAF), |fixed| fixed_shape(fixed, known))?,
    };
    if above + shape.depth > DEPTH_MAX {
        return Err(format!("more than {DEPTH_MAX} levels"));
    }
    if shape.byteless > BYTELESS_MAX {
        return Err(format!("more than {BYTELESS_MAX} values that take no bytes"));
    }
    Ok(shape)
}

fn record_shape<'s>(
    record: &'s RecordSchema,
    above: usize,
    known: &mut Known<'s>,
) -> Result<Shape, String> {
    known.insert(&record.name, None);
    let mut whole = Shape::default();
    for field in &record.fields {
        let field = shape_of(&field.schema, above, known)?;
        whole.depth = whole.depth.max(field.depth);
        whole.byteless = whole.byteless.saturating_add(field.byteless);
        whole.takes_bytes |= field.takes_bytes;
    }
    let byteless = whole.byteless + usize::from(!whole.takes_bytes);
    let shape = Shape { depth: whole.depth + 1, byteless, ..whole };
    known.insert(&record.name, Some(shape));
    Ok(shape)
}

fn union_shape<'s>(
    union: &'s UnionSchema,
    above: usize,
    known: &mut Known<'s>,
) -> Result<Shape, String> {
    let mut widest = LEAF;
    for variant in union.variants() {
        let shape = shape_of(variant, above, known)?;
        widest.depth = widest.depth.max(shape.depth);
        // A null beside others is told by a byte.
        let is_null = matches!(variant, Schema::Null);
        widest.byteless = widest.byteless.max(if is_null { 0 } else { shape.byteless });
    }
    Ok(Shape { depth: widest.depth + 1, ..widest })
}

/// The fixed that holds the bytes of a logical type, or the type itself.
fn fixed_of(schema: &Schema) -> Option<&FixedSchema> {
    match schema {
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
            Some(fixed)
        }
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Fixed(fixed) => Some(fixed),
            InnerDecimalSchema::Bytes => None,
        },
        _ => None,
    }
}

fn fixed_shape<'s>(fixed: &'s FixedSchema, known: &mut Known<'s>) -> Result<Shape, String> {
    if fixed.size > ALLOCATION_BYTES_MAX {
        return Err(format!("fixed {} of {} bytes", fixed.name, fixed.size));
    }
    let shape = if fixed.size == 0 { NOTHING } else { LEAF };
    known.insert(&fixed.name, Some(shape));
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use crate::codec::avro::{Avro, Undecodable, WriterIds};

    #[test]
    fn schemas_that_could_explode_are_refused() {
        let endless = r#"{"type": "record", "name": "Trade", "fields": [
            {"name": "next", "type": ["null", "Trade"]}]}"#;
        let nothing = r#"{"type": "record", "name": "Trade", "fields": [
            {"name": "many", "type": {"type": "array", "items": "null"}}]}"#;
        let huge = r#"{"type": "fixed", "name": "Huge", "size": 1000000000}"#;
        let huge_decimal = r#"{"type": "fixed", "name": "Huge", "size": 1000000000,
            "logicalType": "decimal", "precision": 9}"#;
        let named_nothing = r#"{"type": "record", "name": "Trade", "fields": [
            {"name": "none", "type": {"type": "record", "name": "Nothing", "fields": []}},
            {"name": "many", "type": {"type": "array", "items": "Nothing"}}]}"#;
        let word = r#"{"type": "record", "name": "Trade", "precision": "x", "fields": []}"#;
        let number = r#"{"type": "record", "name": "Trade", "order": 1, "fields": []}"#;
        let heavy = [endless, nothing, huge, huge_decimal, named_nothing];
        let refused = heavy.into_iter().chain([word, number, "{", "", r#""Trade""#]);
        let deep =
            format!("{}\"long\"{}", r#"{"type":"array","items":"#.repeat(20), "}".repeat(20));
        for text in refused.chain([deep.as_str(), &doubling_records(30)]) {
            assert!(Avro::single_object().knowing(text).is_err(), "{text}");
        }
    }

    /// Each record holds the one before twice: 2³⁰ nulls, and not one byte.
    fn doubling_records(records: usize) -> String {
        let record = |name: usize, fields: String| {
            format!(r#"{{"type":"record","name":"R{name}","fields":[{fields}]}}"#)
        };
        let field = |name: &str, of: &str| format!(r#"{{"name":"{name}","type":{of}}}"#);
        let mut defined = vec![field("n", &record(0, field("x", "\"null\"")))];
        for name in 1..records {
            let before = format!("\"R{}\"", name - 1);
            let both = [field("a", &before), field("b", &before)].join(",");
            defined.push(field(&format!("r{name}"), &record(name, both)));
        }
        record(records, defined.join(","))
    }

    /// The vendor's decoder would make nulls of what is not there, 30,000 of them here.
    #[test]
    fn what_is_not_there_is_not_made_up() {
        let many = r#"{"type": "record", "name": "Trade", "fields": [
            {"name": "many", "type": {"type": "array", "items": "string"}}]}"#;
        let ids = WriterIds { trade: 1, silver: 2, bar: 3, late: 4 };
        let avro = Avro::with_registry(ids, Box::new(move |_| Ok(Some(many.to_owned()))));
        // A block of 30,000 items, and nothing behind it.
        let Err(Undecodable::Definite(problem)) =
            avro.decode_trade(&[0, 0, 0, 0, 99, 0xE0, 0xD4, 3])
        else {
            panic!("no record at all")
        };
        assert!(problem.contains("cut short"), "{problem}");
    }
}
