//! What a schema of another writer may look like: whoever may register one decides how much memory
//! and stack a record of it takes, so what could come to much from few bytes is refused.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{
    FixedSchema, InnerDecimalSchema, Name, RecordSchema, UnionSchema, UuidSchema,
};

use super::schema::ALLOCATION_BYTES_MAX;

/// Records, arrays, maps and unions within each other. Each level of arrays may ask for
/// `ALLOCATION_BYTES_MAX`, and each level of any takes stack.
const DEPTH_MAX: usize = 16;
/// Values that take no bytes: as many may stand in each item of an array.
const BYTELESS_MAX: usize = 16;

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
