//! Avro bytes as a topic may hold them: of our schemas in both framings, and of anybody's.

use std::sync::LazyLock;

use ticksmith::codec::avro::{Avro, WriterIds};
use ticksmith::model::{FeedEvent, FeedEventKind};

use super::samples;

const IDS: WriterIds = WriterIds { trade: 11, silver: 12, bar: 13, late: 14 };
/// Ids of writers that are not us, with the schema that they wrote with.
const FOREIGN: [(u32, &str); 2] = [(21, WIDER_TRADE), (22, NARROWER_TRADE)];
/// Another order, other widths, fields that we do not know, arrays and maps among them.
const WIDER_TRADE: &str = r#"{"type":"record","name":"Trade","fields":[
  {"name":"venue","type":["null","string"]},{"name":"tags","type":{"type":"map","values":"bytes"}},
  {"name":"seq","type":"int"},{"name":"connection","type":"long"},
  {"name":"feed","type":"string"},{"name":"symbol","type":"string"},
  {"name":"price","type":"float"},{"name":"volume","type":"long"},
  {"name":"legs","type":{"type":"array","items":{"type":"array","items":"long"}}},
  {"name":"trade_time","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"conditions","type":["null",{"type":"array","items":"string"}]},
  {"name":"received_at","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;
const NARROWER_TRADE: &str = r#"{"type":"record","name":"Trade","fields":[
  {"name":"symbol","type":"string"},{"name":"price","type":"double"}]}"#;

/// Without a registry, and with one.
static CODECS: LazyLock<[Avro; 2]> = LazyLock::new(|| [Avro::single_object(), registered()]);

fn registered() -> Avro {
    let lookup = |id| {
        let found = FOREIGN.iter().find(|(known, _)| *known == id);
        Ok(found.map(|(_, schema)| (*schema).to_owned()))
    };
    let avro = Avro::with_registry(IDS, Box::new(lookup));
    avro.knowing(WIDER_TRADE).expect("a schema that is in order")
}

/// The input as it is, and behind every frame that names a schema.
fn framed(own_header: &[u8], bytes: &[u8]) -> Vec<Vec<u8>> {
    let foreign = FOREIGN.iter().map(|(id, _)| *id);
    let ids = [IDS.trade, IDS.silver, IDS.bar, IDS.late].into_iter().chain(foreign);
    let confluent = ids.map(|id| [&[0][..], &id.to_be_bytes(), bytes].concat());
    let own = [own_header, bytes].concat();
    [bytes.to_vec(), own].into_iter().chain(confluent).collect()
}

/// Decodes each framing with and without a registry; what is read must be written the same twice.
fn read_all<T>(
    own_header: &[u8],
    bytes: &[u8],
    decode: impl Fn(&Avro, &[u8]) -> Option<T>,
    encode: impl Fn(&Avro, &T) -> Vec<u8>,
) {
    let records = framed(own_header, bytes);
    for avro in CODECS.iter() {
        for record in &records {
            let Some(read) = decode(avro, record) else { continue };
            let written = encode(avro, &read);
            let again = decode(avro, &written).expect("what we wrote reads back");
            assert_eq!(encode(avro, &again), written, "a round trip changes nothing");
        }
    }
}

fn header(encoded: &[u8]) -> &[u8] {
    &encoded[..10]
}

/// Trades, which are also what the silver topic holds.
pub fn trade(bytes: &[u8]) {
    let mut sample = Vec::new();
    Avro::single_object().encode_trade(&samples::trade(), &mut sample).expect("encodes");
    let encode = |avro: &Avro, trade: &_| {
        let (mut value, mut silver) = (Vec::new(), Vec::new());
        avro.encode_trade(trade, &mut value).expect("a trade that was read can be written");
        avro.encode_silver(trade, &mut silver).expect("and as silver");
        value
    };
    read_all(header(&sample), bytes, |avro, bytes| avro.decode_trade(bytes).ok(), encode);
}

pub fn feed_event(bytes: &[u8]) {
    let mut sample = Vec::new();
    let event = samples::event(FeedEventKind::Subscribed);
    Avro::single_object().encode_feed_event(&event, &mut sample).expect("encodes");
    let encode = |avro: &Avro, event: &FeedEvent| {
        let mut value = Vec::new();
        avro.encode_feed_event(event, &mut value).expect("an event that was read can be written");
        value
    };
    read_all(header(&sample), bytes, |avro, bytes| avro.decode_feed_event(bytes).ok(), encode);
}

/// Bars, and late trades: whoever reads those topics with our codec.
pub fn bar(bytes: &[u8]) {
    let (mut bar, mut late) = (Vec::new(), Vec::new());
    let avro = Avro::single_object();
    avro.encode_bar(&samples::bar(), &mut bar).expect("encodes");
    avro.encode_late(&samples::late(), &mut late).expect("encodes");
    let encode = |avro: &Avro, bar: &_| {
        let mut value = Vec::new();
        avro.encode_bar(bar, &mut value).expect("a bar that was read can be written");
        value
    };
    read_all(header(&bar), bytes, |avro, bytes| avro.decode_bar(bytes).ok(), encode);
    let encode = |avro: &Avro, late: &_| {
        let mut value = Vec::new();
        avro.encode_late(late, &mut value).expect("a late trade that was read can be written");
        value
    };
    read_all(header(&late), bytes, |avro, bytes| avro.decode_late(bytes).ok(), encode);
}

/// A writer's schema out of a registry, up to the first zero byte, and a record written with it.
pub fn schema(bytes: &[u8]) {
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at(cut);
    let text = String::from_utf8_lossy(text).into_owned();
    let record = [&[0, 0, 0, 0, 1][..], rest.get(1..).unwrap_or_default()].concat();
    let answer = text.clone();
    let avro = Avro::with_registry(IDS, Box::new(move |_| Ok(Some(answer.clone()))));
    let _ = avro.decode_trade(&record);
    let _ = avro.decode_bar(&record);
    let _ = avro.decode_feed_event(&record);
    let _ = Avro::single_object().knowing(&text);
}
