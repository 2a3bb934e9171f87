//! Schemas that other writers brought along: fetched once, kept by id, and resolved to ours by
//! Avro's rules (defaults for what is missing, promotion of numbers, extra fields skipped).

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, PoisonError, RwLock};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::Name;
use apache_avro::{Schema, from_value};
use serde::de::DeserializeOwned;

use super::schema::{
    ALLOCATION_BYTES_MAX, EARLIER, OwnSchema, fingerprints_of, one_line, trailing,
};
use super::{SchemaLookup, Undecodable};
use crate::error::{Error, Result};

/// Ids kept at once. A topic has a handful; a flood of them must not fill the memory.
const IDS_KEPT_MAX: usize = 4096;

/// How records of one writer schema are read.
#[derive(Clone)]
enum Plan {
    /// The same layout as ours, whatever its docs and defaults: the direct way.
    Own,
    Resolve(Arc<Schema>),
}

/// Every writer schema that has been met.
pub(super) struct WriterSchemas {
    lookup: Option<Box<SchemaLookup>>,
    by_id: RwLock<HashMap<([u8; 8], u32), Plan>>,
    by_fingerprint: HashMap<[u8; 8], Arc<Schema>>,
}

impl WriterSchemas {
    /// Knows our own earlier schemas.
    pub(super) fn new(lookup: Option<Box<SchemaLookup>>) -> Self {
        let (by_id, by_fingerprint) = (RwLock::default(), HashMap::new());
        let mut writers = Self { lookup, by_id, by_fingerprint };
        for text in EARLIER {
            writers.know(text).expect("an embedded schema is valid Avro");
        }
        writers
    }

    /// Records under `id` are written with `own`.
    pub(super) fn is_own(&self, own: &OwnSchema, id: u32) {
        self.keep((own.fingerprint(), id), Plan::Own);
    }

    /// Adds a schema to be found by its fingerprint.
    pub(super) fn know(&mut self, text: &str) -> Result<()> {
        let schema = parse(text).map_err(|problem| {
            Error::Config(format!("writer schema: {problem}; give a valid Avro schema"))
        })?;
        let schema = Arc::new(schema);
        for fingerprint in fingerprints_of(&schema) {
            self.by_fingerprint.insert(fingerprint, Arc::clone(&schema));
        }
        Ok(())
    }

    pub(super) fn read_by_fingerprint<T: DeserializeOwned>(
        &self,
        own: &OwnSchema,
        fingerprint: [u8; 8],
        datum: &[u8],
    ) -> Result<T, Undecodable> {
        let read = match self.by_fingerprint.get(&fingerprint) {
            Some(writer) => resolve(writer, own, datum),
            None => Err(format!(
                "Avro schema with fingerprint {:016x} is unknown",
                u64::from_le_bytes(fingerprint)
            )),
        };
        read.map_err(Undecodable::Definite)
    }

    pub(super) fn read_by_id<T: DeserializeOwned>(
        &self,
        own: &OwnSchema,
        id: u32,
        datum: &[u8],
    ) -> Result<T, Undecodable> {
        let read = match self.plan(own, id)? {
            Plan::Own => own.read(datum),
            Plan::Resolve(writer) => resolve(&writer, own, datum),
        };
        read.map_err(Undecodable::Definite)
    }

    fn plan(&self, own: &OwnSchema, id: u32) -> Result<Plan, Undecodable> {
        let key = (own.fingerprint(), id);
        // A plan is inserted whole, so a map whose writer panicked is still good.
        let known = self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(plan) = known {
            return Ok(plan);
        }
        let Some(lookup) = &self.lookup else {
            let problem = format!("schema id {id} of a registry, but none is configured");
            return Err(Undecodable::Definite(problem));
        };
        let Some(text) = lookup(id).map_err(Undecodable::Stalled)? else {
            let problem = format!("the schema registry has no schema {id}");
            return Err(Undecodable::Definite(problem));
        };
        let schema = parse(&text)
            .map_err(|problem| Undecodable::Definite(format!("schema {id}: {problem}")))?;
        let same = own.is_named_by(fingerprints_of(&schema)[0]);
        let plan = if same { Plan::Own } else { Plan::Resolve(Arc::new(schema)) };
        self.keep(key, plan.clone());
        Ok(plan)
    }

    fn keep(&self, key: ([u8; 8], u32), plan: Plan) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if by_id.len() >= IDS_KEPT_MAX {
            by_id.clear();
        }
        by_id.insert(key, plan);
    }
}

/// Parses a schema that we did not write, and refuses one that could make a small record huge or a
/// decoder recurse without end.
fn parse(text: &str) -> Result<Schema, String> {
    let schema = Schema::parse_str(text).map_err(|error| one_line(&error))?;
    check_bounded(&schema, &mut Vec::new())?;
    Ok(schema)
}

fn check_bounded<'s>(schema: &'s Schema, enclosing: &mut Vec<&'s Name>) -> Result<(), String> {
    match schema {
        Schema::Ref { name } if enclosing.contains(&name) => {
            Err(format!("record {name} contains itself"))
        }
        Schema::Record(record) => {
            enclosing.push(&record.name);
            for field in &record.fields {
                check_bounded(&field.schema, enclosing)?;
            }
            enclosing.pop();
            Ok(())
        }
        Schema::Array(array) if is_empty_on_the_wire(&array.items) => {
            Err("an array whose items take no bytes".to_owned())
        }
        Schema::Array(array) => check_bounded(&array.items, enclosing),
        Schema::Map(map) => check_bounded(&map.types, enclosing),
        Schema::Union(union) => {
            union.variants().iter().try_for_each(|variant| check_bounded(variant, enclosing))
        }
        Schema::Fixed(fixed) | Schema::Duration(fixed) if fixed.size > ALLOCATION_BYTES_MAX => {
            Err(format!("fixed {} of {} bytes", fixed.name, fixed.size))
        }
        _ => Ok(()),
    }
}

/// A few bytes could then announce millions of items.
fn is_empty_on_the_wire(schema: &Schema) -> bool {
    match schema {
        Schema::Null => true,
        Schema::Fixed(fixed) => fixed.size == 0,
        Schema::Record(record) => {
            record.fields.iter().all(|field| is_empty_on_the_wire(&field.schema))
        }
        // Of a named type that stands elsewhere: taken as empty only when it is defined here.
        _ => false,
    }
}

fn resolve<T: DeserializeOwned>(
    writer: &Schema,
    own: &OwnSchema,
    datum: &[u8],
) -> Result<T, String> {
    let mut datum = WholeBytes { rest: datum, short: false };
    let value = GenericDatumReader::builder(writer)
        .reader_schema(own.schema())
        .build()
        .and_then(|reader| reader.read_value(&mut datum))
        .map_err(|error| one_line(&error))?;
    match datum {
        WholeBytes { short: true, .. } => Err("the Avro record is cut short".to_owned()),
        WholeBytes { rest: [], .. } => from_value(&value).map_err(|error| one_line(&error)),
        WholeBytes { rest, .. } => Err(trailing(rest.len())),
    }
}

/// Remembers that it was asked for more than there is: the vendor's `Value` decoder takes some
/// fields at the end of the bytes for null.
struct WholeBytes<'a> {
    rest: &'a [u8],
    short: bool,
}

impl Read for WholeBytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.short |= self.rest.is_empty() && !buffer.is_empty();
        self.rest.read(buffer)
    }
}
