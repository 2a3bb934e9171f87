//! Our own schemas, embedded: parsed once, with the writer, the reader and the frame header of
//! each.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::util::max_allocation_bytes;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::framing;

/// Schema of the trades and silver topics' values.
pub const TRADE: &str = include_str!("../../../schemas/avro/trade.avsc");
/// Schema of the bars topic's values.
pub const BAR: &str = include_str!("../../../schemas/avro/bar.avsc");
/// Schema of the late topic's values.
pub const LATE: &str = include_str!("../../../schemas/avro/late.avsc");
/// What a rejected record carries in its value and headers; nothing is encoded with it.
pub const REJECTED: &str = include_str!("../../../schemas/avro/rejected.avsc");
/// Schema of the feed-event header.
pub const FEED_EVENT: &str = include_str!("../../../schemas/avro/feed_event.avsc");
const WINDOW_STATE: &str = include_str!("../../../schemas/avro/window_state.avsc");
const PARTITION_STATE: &str = include_str!("../../../schemas/avro/partition_state.avsc");
const SYMBOL_FEED: &str = include_str!("../../../schemas/avro/symbol_feed.avsc");
const PARTITION_SCOPE: &str = include_str!("../../../schemas/avro/partition_scope.avsc");
/// Schemas that earlier versions of ours wrote the changelog with.
pub(super) const EARLIER: [&str; 1] =
    [include_str!("../../../schemas/avro/earlier/partition_state.1.avsc")];

/// Most bytes that one length inside a record may ask for: far above any record that a log accepts
/// (1 MB by default), far below what hurts. The vendor's own bound is 512 MiB.
pub(super) const ALLOCATION_BYTES_MAX: usize = 4 << 20;

/// A schema of this crate, ready for use.
pub(super) struct OwnSchema {
    schema: &'static Schema,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
    header: [u8; 10],
    fingerprints: [[u8; 8]; 2],
}

impl OwnSchema {
    fn new(text: &str) -> Self {
        max_allocation_bytes(ALLOCATION_BYTES_MAX);
        let schema = Schema::parse_str(text).expect("an embedded schema is valid Avro");
        // Nine of these live as long as the process.
        let schema: &'static Schema = Box::leak(Box::new(schema));
        let fingerprints = fingerprints_of(schema);
        Self {
            schema,
            writer: GenericDatumWriter::builder(schema)
                .build()
                .expect("an embedded schema resolves its own names"),
            reader: GenericDatumReader::builder(schema)
                .build()
                .expect("an embedded schema resolves its own names"),
            header: framing::single_object_header(fingerprints[0]),
            fingerprints,
        }
    }

    pub(super) fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// The header of single-object encoding.
    pub(super) fn header(&self) -> &[u8; 10] {
        &self.header
    }

    /// CRC-64-AVRO of the schema's canonical form, little endian: what we write.
    pub(super) fn fingerprint(&self) -> [u8; 8] {
        self.fingerprints[0]
    }

    /// Whether records under `fingerprint` have this schema's layout.
    pub(super) fn is_named_by(&self, fingerprint: [u8; 8]) -> bool {
        self.fingerprints.contains(&fingerprint)
    }

    /// Appends the datum. The error is a line; what was appended up to it stays.
    pub(super) fn write<T: Serialize>(&self, record: &T, out: &mut Vec<u8>) -> Result<(), String> {
        self.writer.write_ser(out, record).map(drop).map_err(|error| one_line(&error))
    }

    /// Reads the whole of `datum`. The error is a line.
    pub(super) fn read<T: DeserializeOwned>(&self, mut datum: &[u8]) -> Result<T, String> {
        let record = self.reader.read_deser(&mut datum).map_err(|error| one_line(&error))?;
        if datum.is_empty() { Ok(record) } else { Err(trailing(datum.len())) }
    }
}

/// The fingerprints that records of `schema` may carry: the first is the specification's, which we
/// write (Java and fastavro agree on it); the second is the vendor crate's own, which Avro's Python
/// library shares: both leave `{"type":"long"}` for a long with a logical type, where the
/// specification reduces it to `"long"`.
pub(super) fn fingerprints_of(schema: &Schema) -> [[u8; 8]; 2] {
    let mut canonical = schema.canonical_form();
    for primitive in ["null", "boolean", "int", "long", "float", "double", "bytes", "string"] {
        let wrapped = format!("{{\"type\":\"{primitive}\"}}");
        canonical = canonical.replace(&wrapped, &format!("\"{primitive}\""));
    }
    let plain = Schema::parse_str(&canonical);
    [plain.as_ref().unwrap_or(schema), schema].map(|schema| {
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&schema.fingerprint::<Rabin>().bytes);
        fingerprint
    })
}

pub(super) fn trailing(bytes: usize) -> String {
    format!("{bytes} bytes follow the Avro record")
}

/// Vendor errors print whole schemas; what matters stands at their beginning.
pub(super) fn one_line(error: &apache_avro::Error) -> String {
    const CHARACTERS_MAX: usize = 160;
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(CHARACTERS_MAX).collect()
}

macro_rules! own_schemas {
    ($($function:ident = $text:ident),+ $(,)?) => {$(
        pub(super) fn $function() -> &'static OwnSchema {
            static SCHEMA: LazyLock<OwnSchema> = LazyLock::new(|| OwnSchema::new($text));
            &SCHEMA
        }
    )+};
}

own_schemas! {
    trade = TRADE,
    bar = BAR,
    late = LATE,
    feed_event = FEED_EVENT,
    window_state = WINDOW_STATE,
    partition_state = PARTITION_STATE,
    symbol_feed = SYMBOL_FEED,
    partition_scope = PARTITION_SCOPE,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 9] = [
        TRADE,
        BAR,
        LATE,
        REJECTED,
        FEED_EVENT,
        WINDOW_STATE,
        PARTITION_STATE,
        SYMBOL_FEED,
        PARTITION_SCOPE,
    ];

    #[test]
    fn every_field_of_every_schema_is_documented() {
        fn check(schema: &Schema) {
            match schema {
                Schema::Record(record) => {
                    assert!(record.doc.is_some(), "{} has no doc", record.name);
                    for field in &record.fields {
                        assert!(field.doc.is_some(), "{}.{} has no doc", record.name, field.name);
                        check(&field.schema);
                    }
                }
                Schema::Union(union) => union.variants().iter().for_each(check),
                Schema::Array(array) => check(&array.items),
                _ => {}
            }
        }
        for text in ALL {
            check(&Schema::parse_str(text).expect("valid schema"));
        }
    }

    /// The fingerprints stand in every record ever written: a change of a schema is a change here,
    /// and the old text then has to stay known to the reader. Computed with fastavro.
    #[test]
    fn the_fingerprints_do_not_move() {
        let prints: Vec<String> = [trade(), bar(), late(), feed_event(), window_state()]
            .iter()
            .chain(&[partition_state(), symbol_feed(), partition_scope()])
            .map(|own| format!("{:016x}", u64::from_le_bytes(own.fingerprint())))
            .collect();
        assert_eq!(prints, FINGERPRINTS);
    }

    const FINGERPRINTS: [&str; 8] = [
        "246e3b4256f09314",
        "ced21fcded93ed23",
        "da6a6ee191016eb0",
        "dd2eb2433e27ac1d",
        "b8006dbb630aebde",
        "51d1c0192a3bf5c9",
        "f4f6e4bdcf3592c5",
        "5bfc0df560f8df42",
    ];
}
