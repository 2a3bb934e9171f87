//! Schemas that other writers brought along: fetched once, kept by id, and resolved to ours by
//! Avro's rules (defaults for what is missing, promotion of numbers, extra fields skipped).

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, PoisonError, RwLock};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::{Schema, from_value};
use serde::de::DeserializeOwned;

use super::schema::{EARLIER, OwnSchema, fingerprints_of, one_line, trailing};
use super::{SchemaLookup, Undecodable, shape};
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
    shape::check_text(text)?;
    let schema = Schema::parse_str(text).map_err(|error| one_line(&error))?;
    shape::check(&schema)?;
    Ok(schema)
}

fn resolve<T: DeserializeOwned>(
    writer: &Schema,
    own: &OwnSchema,
    datum: &[u8],
) -> Result<T, String> {
    let mut datum = WholeBytes(datum);
    let value = GenericDatumReader::builder(writer)
        .reader_schema(own.schema())
        .build()
        .and_then(|reader| reader.read_value(&mut datum))
        .map_err(|error| one_line(&error))?;
    match datum.0 {
        [] => from_value(&value).map_err(|error| one_line(&error)),
        rest => Err(trailing(rest.len())),
    }
}

/// Refuses to read on behind the end. The vendor's `Value` decoder takes what it knows as the end
/// of the bytes for as many nulls as there are fields and items to come.
struct WholeBytes<'a>(&'a [u8]);

impl Read for WholeBytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.len() < buffer.len() {
            return Err(io::Error::new(ErrorKind::InvalidData, "the Avro record is cut short"));
        }
        self.0.read(buffer)
    }
}
