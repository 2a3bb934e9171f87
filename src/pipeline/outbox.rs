//! The records of a beat, kept until its transaction: silver, late, rejected and bars.

use std::sync::Arc;

use crate::codec::avro::Avro;
use crate::error::Result;
use crate::model::{Bar, BarState, Disposition, Effects, Judged, RejectReason};
use crate::port::{Beat, OutRecord, RawRecord, Topic};

use super::Schedule;

/// Fixed cost of a record in memory, added to its bytes, B.
const RECORD_OVERHEAD_BYTES: usize = 96;

/// Collects what goes to the topics.
pub struct Outbox {
    avro: Arc<Avro>,
    trades_topic: String,
    silver: bool,
    provisional: bool,
    records: Vec<OutRecord>,
    /// Memory of a committed beat, for the next one.
    spare: Vec<OutRecord>,
    bytes: usize,
}

impl Outbox {
    pub fn new(avro: Arc<Avro>, trades_topic: String, schedule: &Schedule) -> Self {
        Self {
            avro,
            trades_topic,
            silver: schedule.silver_topic,
            provisional: schedule.provisional_to_topic,
            records: Vec::new(),
            spare: Vec::new(),
            bytes: 0,
        }
    }

    /// From here on provisional bars go to the topic too, or not.
    pub fn send_provisional(&mut self, send: bool) {
        self.provisional = send;
    }

    /// Adds what the effects mean for the topics.
    pub fn add(&mut self, effects: &Effects) -> Result<()> {
        for judged in &effects.trades {
            if self.silver && judged.disposition.is_silver() {
                self.silver(judged)?;
            }
            if judged.disposition == Disposition::Late {
                self.late(judged)?;
            }
        }
        for bar in &effects.bars {
            if bar.state != BarState::Provisional || self.provisional {
                self.bar(bar)?;
            }
        }
        Ok(())
    }

    fn silver(&mut self, judged: &Judged) -> Result<()> {
        let mut value = Vec::with_capacity(96);
        self.avro.encode_silver(&judged.trade, &mut value)?;
        self.keyed(Topic::Silver, &judged.trade.symbol, value);
        Ok(())
    }

    fn late(&mut self, judged: &Judged) -> Result<()> {
        let mut value = Vec::with_capacity(160);
        self.avro.encode_late(judged, &mut value)?;
        self.keyed(Topic::Late, &judged.trade.symbol, value);
        Ok(())
    }

    fn bar(&mut self, bar: &Bar) -> Result<()> {
        let mut value = Vec::with_capacity(320);
        self.avro.encode_bar(bar, &mut value)?;
        self.keyed(Topic::Bars, &bar.symbol, value);
        Ok(())
    }

    /// A record that is no trade that we can believe goes on as it came, with where and why.
    pub fn reject(&mut self, record: &RawRecord<'_>, reason: RejectReason) {
        let text = |value: &dyn ToString| value.to_string().into_bytes();
        let mut headers = vec![
            ("topic", self.trades_topic.clone().into_bytes()),
            ("partition", text(&record.partition)),
            ("offset", text(&record.offset)),
            ("reason", reason.as_str().into()),
        ];
        if let Some(event) = record.event {
            headers.push((crate::model::feed_event::FEED_EVENT_HEADER, event.to_vec()));
        }
        self.push(OutRecord {
            topic: Topic::Rejected,
            partition: None,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers,
        });
    }

    fn keyed(&mut self, topic: Topic, symbol: &str, value: Vec<u8>) {
        self.push(OutRecord {
            topic,
            partition: None,
            key: Some(symbol.as_bytes().to_vec()),
            value: Some(value),
            headers: Vec::new(),
        });
    }

    fn push(&mut self, record: OutRecord) {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        self.bytes += RECORD_OVERHEAD_BYTES + length(&record.key) + length(&record.value);
        self.records.push(record);
    }

    /// Memory that the beat holds so far, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Hands the records over to the transaction.
    pub fn take(&mut self) -> Vec<OutRecord> {
        self.bytes = 0;
        std::mem::replace(&mut self.records, std::mem::take(&mut self.spare))
    }

    /// Gets the memory of a committed beat back.
    pub fn recycle(&mut self, beat: Beat) {
        self.spare = beat.records;
        self.spare.clear();
    }

    pub fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }
}
