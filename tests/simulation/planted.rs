//! Known bugs, planted between the pipeline and its ports: a simulation that does not find them
//! would not find unknown ones either.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use ticksmith::error::{Error, Result};
use ticksmith::model::{Effects, StateRecord};
use ticksmith::port::log::{OnProgress, OnState};
use ticksmith::port::{
    BarRemoval, Beat, Log, LogFactory, OutRecord, Polled, RawRecord, Restored, Store, Topic,
};

use crate::front::{FrontFactory, Spoil};
use crate::process::AVRO;
use crate::world::Seat;

/// A commit is over after so many looks.
const PATIENCE: usize = 100;
const LOOK: Duration = Duration::from_millis(200);

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// The store says that all is written while it is still on its way.
    OffsetsBeforeTheStore,
    /// The store says so of a beat whose last rows are still on their way.
    ShortMark,
    /// A commit has the offsets of the beat that is read beside it.
    OffsetsOfTheNextBeat,
    /// A commit is told as done when it has only begun.
    OutcomeUnheard,
    /// A restored state has forgotten how far one connection was read.
    LostMark,
    /// A restore hands out an older value of a window.
    StaleRestore,
    /// Records of a beat become visible without its offsets.
    HalfATransaction,
    /// After an unknown outcome the same beat is committed once more.
    BeatTwice,
    /// The changelog is not told that a window is gone.
    LostTombstone,
    /// Two records of a partition change places.
    WrongOrder,
    /// The group takes offsets from a member of an old generation.
    FencedCommitAccepted,
}

impl Plant {
    pub const ALL: [Plant; 11] = [
        Self::OffsetsBeforeTheStore,
        Self::ShortMark,
        Self::OffsetsOfTheNextBeat,
        Self::OutcomeUnheard,
        Self::LostMark,
        Self::StaleRestore,
        Self::HalfATransaction,
        Self::BeatTwice,
        Self::LostTombstone,
        Self::WrongOrder,
        Self::FencedCommitAccepted,
    ];
}

/// The ports of a process with the bug between.
pub fn wrap(
    plant: Plant,
    seat: &Seat,
    factory: Box<dyn LogFactory>,
    store: Box<dyn Store>,
) -> (Box<dyn LogFactory>, Box<dyn Store>) {
    let seat = seat.clone();
    let spoiler = move || Wrong {
        plant,
        seat: seat.clone(),
        older: BTreeMap::new(),
        begun: Beat::default(),
        told: None,
    };
    let factory = Box::new(FrontFactory { inner: factory, spoiler });
    let store: Box<dyn Store> = match plant {
        Plant::OffsetsBeforeTheStore => Box::new(HastyStore { inner: store, owes_flush: false }),
        Plant::ShortMark => Box::new(ShortMark { inner: store }),
        _ => store,
    };
    (factory, store)
}

/// Acknowledges a beat when the next one begins to be written.
struct HastyStore {
    inner: Box<dyn Store>,
    owes_flush: bool,
}

impl Store for HastyStore {
    fn write(&mut self, rows: &Effects) -> Result<()> {
        if self.owes_flush {
            self.inner.flush()?;
            self.owes_flush = false;
        }
        self.inner.write(rows)
    }

    fn flush(&mut self) -> Result<()> {
        self.owes_flush = true;
        Ok(())
    }

    fn remove(&mut self, bars: &[BarRemoval]) -> Result<()> {
        self.inner.remove(bars)
    }
}

/// Waits for all rows but those of the last call before the mark.
struct ShortMark {
    inner: Box<dyn Store>,
}

impl Store for ShortMark {
    fn write(&mut self, rows: &Effects) -> Result<()> {
        self.inner.mark();
        self.inner.write(rows)
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }

    fn await_mark(&mut self, within: Duration) -> Result<bool> {
        self.inner.await_mark(within)
    }

    fn remove(&mut self, bars: &[BarRemoval]) -> Result<()> {
        self.inner.remove(bars)
    }
}

struct Wrong {
    plant: Plant,
    seat: Seat,
    /// What the changelog held of a key before its newest value.
    older: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// What the commit under way was given.
    begun: Beat,
    /// An outcome of our own making.
    told: Option<Beat>,
}

impl Wrong {
    /// Now and then alone, so that it is no easy find.
    fn strikes(&self, plant: Plant) -> bool {
        self.plant == plant && self.seat.with(|state| state.random.random_bool(0.1))
    }

    fn remember(&mut self, beat: &Beat) {
        for record in beat.records.iter().filter(|one| one.topic == Topic::Changelog) {
            if let (Some(key), Some(value)) = (&record.key, &record.value) {
                self.older.entry(key.clone()).or_default().push(value.clone());
            }
        }
    }

    fn spoil(&mut self, inner: &mut dyn Log, beat: &mut Beat) -> Result<()> {
        let is_tombstone =
            |record: &OutRecord| record.topic == Topic::Changelog && record.value.is_none();
        if self.strikes(Plant::HalfATransaction) {
            beat.offsets.clear();
        }
        if self.strikes(Plant::LostTombstone) {
            beat.records.retain(|record| !is_tombstone(record));
        }
        if self.strikes(Plant::OffsetsOfTheNextBeat) {
            for (partition, next) in &mut beat.offsets {
                *next = inner.position(*partition)?;
            }
        }
        Ok(())
    }
}

fn copy(beat: &Beat) -> Beat {
    Beat { records: beat.records.clone(), offsets: beat.offsets.clone() }
}

/// A record as polled, kept.
struct Kept {
    place: (i32, i64),
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    event: Option<Vec<u8>>,
}

/// Swaps what two neighbours of one partition hold; their offsets stay.
fn swap_neighbours(kept: &mut [Kept]) {
    let is_pair = |pair: &[Kept]| pair[0].place.0 == pair[1].place.0;
    if let Some(at) = kept.windows(2).position(is_pair) {
        let place = kept[at].place;
        kept[at].place = kept[at + 1].place;
        kept[at + 1].place = place;
        kept.swap(at, at + 1);
    }
}

impl Spoil for Wrong {
    fn poll(
        &mut self,
        inner: &mut dyn Log,
        (limit, wait): (usize, Duration),
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<Polled> {
        if !self.strikes(Plant::WrongOrder) {
            return inner.poll(limit, wait, on_record);
        }
        let mut kept = Vec::new();
        let polled = inner.poll(limit, wait, &mut |record| {
            kept.push(Kept {
                place: (record.partition, record.offset),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                event: record.event.map(<[u8]>::to_vec),
            });
            Ok(())
        })?;
        swap_neighbours(&mut kept);
        for Kept { place: (partition, offset), key, value, event } in &kept {
            let (partition, offset) = (*partition, *offset);
            let (key, value, event) = (key.as_deref(), value.as_deref(), event.as_deref());
            on_record(RawRecord { partition, offset, key, value, event })?;
        }
        Ok(polled)
    }

    fn restore(
        &mut self,
        inner: &mut dyn Log,
        partition: i32,
        on_state: &mut OnState<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Restored> {
        let forgets = self.plant == Plant::LostMark;
        let is_stale = self.strikes(Plant::StaleRestore);
        let older = &self.older;
        let mut spoil = |key: &[u8], value: &[u8]| match AVRO.decode_state(key, value)? {
            StateRecord::Meta(mut meta) if forgets => {
                meta.connections.iter_mut().take(1).for_each(|one| one.mark = 0);
                let (key, value) = AVRO.encode_state(&StateRecord::Meta(meta))?;
                on_state(&key, &value.unwrap_or_default())
            }
            StateRecord::Window(_) if is_stale => {
                let known = older.get(key).and_then(|values| values.first());
                on_state(key, known.map_or(value, Vec::as_slice))
            }
            _ => on_state(key, value),
        };
        inner.restore(partition, &mut spoil, on_progress)
    }

    fn begin_commit(&mut self, inner: &mut dyn Log, mut beat: Beat) -> Result<()> {
        self.remember(&beat);
        self.spoil(inner, &mut beat)?;
        self.begun = copy(&beat);
        if self.plant == Plant::OutcomeUnheard {
            // Nobody listens to how the one before has ended; there may have been none.
            let is_over = |outcome: Option<_>| outcome.is_some();
            (0..PATIENCE).any(|_| is_over(inner.commit_outcome(LOOK)));
            self.told = Some(copy(&beat));
        }
        inner.begin_commit(beat)
    }

    fn commit_outcome(&mut self, inner: &mut dyn Log, within: Duration) -> Option<Result<Beat>> {
        if let Some(told) = self.told.take() {
            return Some(Ok(told));
        }
        let outcome = inner.commit_outcome(within)?;
        let is_unknown = matches!(outcome, Err(Error::Restore(_) | Error::Rejoin(_)));
        if is_unknown && self.plant == Plant::BeatTwice {
            return Some(inner.commit(copy(&self.begun)).map(|()| copy(&self.begun)));
        }
        Some(outcome)
    }
}
