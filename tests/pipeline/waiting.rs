//! A beat that closes takes its time, in the store and in the log: what the pipeline does
//! meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ticksmith::codec::avro::Avro;
use ticksmith::error::{Error, Result};
use ticksmith::model::{Bar, Effects, Judged};
use ticksmith::pipeline::{self, Parts};
use ticksmith::port::{BarRemoval, Beat, BeatReport, Clock, Live, Log, Polled, RawRecord, Store};
use ticksmith::runtime::Shutdown;

use crate::front::{FrontFactory, Spoil};
use crate::{EXPECTED, HandClock, broker, check, fill, rules, run, schedule};

/// Commits that take some polls, as those of a broker do; counts what is read beside them.
struct Slow {
    /// Polls to go until the commit under way is told; `None`: none is.
    left: Option<usize>,
    read_beside: Arc<AtomicUsize>,
}

impl Spoil for Slow {
    fn poll(
        &mut self,
        inner: &mut dyn Log,
        (limit, wait): (usize, Duration),
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<Polled> {
        let polled = inner.poll(limit, wait, on_record)?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            self.read_beside.fetch_add(polled.records, Ordering::Relaxed);
        }
        Ok(polled)
    }

    fn begin_commit(&mut self, inner: &mut dyn Log, beat: Beat) -> Result<()> {
        assert_eq!(self.left, None, "one at a time");
        self.left = Some(3);
        inner.begin_commit(beat)
    }

    fn commit_outcome(&mut self, inner: &mut dyn Log, within: Duration) -> Option<Result<Beat>> {
        // Who waits gets it; who looks only after some polls.
        if within.is_zero() && self.left? > 0 {
            return None;
        }
        self.left = None;
        inner.commit_outcome(within)
    }
}

#[test]
fn records_are_read_while_the_beat_before_is_committed() {
    let (_directory, broker) = broker();
    fill(&broker);
    let read_beside: Arc<AtomicUsize> = Arc::default();
    let (inner, counted) = (broker.factory("group"), Arc::clone(&read_beside));
    let spoiler = move || Slow { left: None, read_beside: Arc::clone(&counted) };
    let factory = Box::new(FrontFactory { inner, spoiler });
    assert_eq!(run(factory, None, schedule()), EXPECTED);
    check(&broker);
    let read_beside = read_beside.load(Ordering::Relaxed);
    assert!(read_beside > 1_000, "{read_beside} records were read beside a commit");
}

/// Takes its time for the first flush, and says so; refuses it once when so many slices are left.
struct SlowStore {
    clock: Arc<HandClock>,
    slices: usize,
    refuses_at: usize,
}

impl Store for SlowStore {
    fn write(&mut self, _: &Effects) -> Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
    fn await_mark(&mut self, within: Duration) -> Result<bool> {
        self.clock.sleep(within);
        self.slices = self.slices.saturating_sub(1);
        if self.slices > 0 && self.slices == self.refuses_at {
            return Err(Error::Unavailable("the store is away".into()));
        }
        Ok(self.slices == 0)
    }
    fn remove(&mut self, _: &[BarRemoval]) -> Result<()> {
        unreachable!("a stream removes nothing")
    }
}

/// What readiness was told.
#[derive(Default)]
struct Told(Mutex<Vec<(bool, String)>>);

impl Live for Told {
    fn bars(&self, _: &[Bar]) {}
    fn trades(&self, _: &[Judged]) {}
    fn ready(&self, ready: bool, reason: &str) {
        self.0.lock().expect("not poisoned").push((ready, reason.to_owned()));
    }
    fn beat(&self, _: &BeatReport) {}
}

/// The first words of what readiness was told of a flush of twenty seconds.
fn told_of_a_slow_flush(refuses_at: usize) -> Vec<String> {
    let (_directory, broker) = broker();
    fill(&broker);
    let (clock, told) = (Arc::new(HandClock::default()), Arc::new(Told::default()));
    let store = SlowStore { clock: Arc::clone(&clock), slices: 100, refuses_at };
    let parts = Parts {
        log_factory: broker.factory("group"),
        store: Some(Box::new(store)),
        live: Arc::clone(&told) as Arc<dyn Live>,
        avro: Arc::new(Avro::single_object()),
        rules: rules(),
        clock,
        schedule: schedule(),
        trades_topic: "trades".into(),
    };
    let report = pipeline::run(parts, Shutdown::default()).expect("it reads to the end");
    assert_eq!(report.tally.merged, EXPECTED.0);
    let told = told.0.lock().expect("not poisoned");
    let of_store = told.iter().position(|(_, reason)| reason.contains("store is"));
    let of_store = told[of_store.expect("it is told")..].iter();
    let words = of_store.map(|(ready, reason)| match reason.split_once(':') {
        _ if *ready => "ready".to_owned(),
        Some((first, _)) => first.to_owned(),
        None => reason.clone(),
    });
    words.collect()
}

#[test]
fn a_store_that_is_slow_for_one_beat_is_told_once_and_waited_for() {
    assert_eq!(told_of_a_slow_flush(0), ["the store is slow", "ready"]);
}

#[test]
fn a_store_that_comes_back_slow_is_told_as_slow_again() {
    let told = ["the store is slow", "the store is away", "the store is slow", "ready"];
    assert_eq!(told_of_a_slow_flush(50), told);
}
