//! What the feed really sent: a second client of the simulator, with a key of its own, that nobody
//! kills; and what of it is not in the trades topic, which must lie in gaps that were declared.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::oracle::Partition;

/// A frame of at least so many elements that repeats the one before it is no news.
const LEAST_REPEATED: usize = 3;
/// Feed time is estimated from clocks that are read at both ends of a socket, on a busy machine.
const SLACK_MS: i64 = 1_000;

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Vec<Element>,
}

#[derive(Deserialize)]
struct Element {
    s: String,
    t: i64,
    p: f64,
    v: f64,
}

/// Time, price and volume of a trade, the doubles as bits, so that they have an order.
type Print = (i64, u64, u64);

/// Of one symbol: each trade, and the feed time at which it was sent.
pub type Sent = BTreeMap<String, Vec<(Print, i64)>>;

pub struct Watcher {
    sent: Arc<Mutex<Sent>>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Watcher {
    /// Returns when it has asked for all symbols, so it misses nothing of what comes later.
    pub fn start(url: &str, symbols: &[String]) -> Self {
        let sent = Arc::<Mutex<Sent>>::default();
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (kept, url, symbols) = (Arc::clone(&sent), url.to_owned(), symbols.to_vec());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(listen(&url, &symbols, &kept, stopped, ready));
        });
        is_ready.recv().expect("the watcher of the feed connects");
        Self { sent, stop, thread }
    }

    pub fn count(&self) -> usize {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.values().map(Vec::len).sum()
    }

    /// To be called when nobody else listens any more.
    pub fn stop(self) -> Sent {
        self.stop.send(true).expect("the watcher listens");
        self.thread.join().expect("the watcher kept listening");
        std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn listen(
    url: &str,
    symbols: &[String],
    sent: &Mutex<Sent>,
    mut stopped: watch::Receiver<bool>,
    ready: std::sync::mpsc::Sender<()>,
) {
    let (mut socket, _) = connect_async(url).await.expect("the simulator lets the watcher in");
    for symbol in symbols {
        let request = serde_json::json!({"type": "subscribe", "symbol": symbol}).to_string();
        socket.send(Message::text(request)).await.expect("asked");
    }
    let (mut ready, mut before, mut newest) = (Some(ready), String::new(), i64::MIN);
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            _ = stopped.changed() => return,
        };
        let message = message.expect("the simulator goes on").expect("and its socket holds");
        let Message::Text(text) = message else { continue };
        let frame: Frame = serde_json::from_str(&text).expect("a frame");
        if frame.kind != "trade" || (frame.data.len() >= LEAST_REPEATED && before == *text) {
            continue;
        }
        before = text.as_str().to_owned();
        let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        for Element { s, t, p, v } in frame.data {
            newest = newest.max(t);
            sent.entry(s).or_default().push(((t, p.to_bits(), v.to_bits()), newest));
        }
        if sent.len() == symbols.len()
            && let Some(ready) = ready.take()
        {
            ready.send(()).expect("the run waits for it");
        }
    }
}

/// What became of the trades that the feed sent.
#[derive(Debug, Default)]
pub struct Account {
    pub sent: usize,
    /// Before the producer had asked for the symbol.
    pub too_early: usize,
    /// In the trades topic, each once.
    pub arrived: usize,
    /// Not in the topic, and inside a declared gap of its symbol.
    pub in_gaps: usize,
    /// The farthest of these outside of its gap, and of those that came too early.
    pub beyond_ms: i64,
    /// Not in the topic, and nobody says so.
    pub unexplained: usize,
    /// In the topic, and never sent.
    pub invented: usize,
    pub first_unexplained: Option<String>,
}

impl Account {
    pub fn of(sent: &Sent) -> Self {
        Self { sent: sent.values().map(Vec::len).sum(), ..Self::default() }
    }

    /// Holds what was sent of the partition's symbols against the topic and its gaps.
    pub fn take(&mut self, sent: &mut Sent, partition: &Partition) {
        let mut arrived: BTreeMap<u16, Vec<(Print, i64, i64)>> = BTreeMap::new();
        for one in &partition.trades {
            let print = (one.time, one.price.to_bits(), one.volume.to_bits());
            arrived.entry(one.symbol).or_default().push((print, one.connection, one.seq));
        }
        for (symbol, mut arrived) in arrived {
            // One that the producer had to send again is in the topic twice.
            arrived.sort_unstable();
            arrived.dedup();
            let symbol = &partition.symbols[usize::from(symbol)];
            let arrived: Vec<Print> = arrived.into_iter().map(|(print, ..)| print).collect();
            let sent = sent.remove(symbol).unwrap_or_default();
            judge_symbol(symbol, sent, &arrived, partition, self);
        }
    }

    /// What no partition has a symbol of.
    pub fn close(&mut self, sent: &Sent) {
        self.unexplained += sent.values().map(Vec::len).sum::<usize>();
    }
}

fn judge_symbol(
    symbol: &str,
    mut sent: Vec<(Print, i64)>,
    arrived: &[Print],
    partition: &Partition,
    account: &mut Account,
) {
    sent.sort_unstable();
    let gaps = partition.story.gaps.iter().filter(|((of, ..), _)| of == symbol);
    let gaps: Vec<(i64, i64)> =
        gaps.map(|((_, start, ..), (end, ..))| (*start, end.unwrap_or(i64::MAX))).collect();
    let asked_from = partition.story.asked_from(symbol).unwrap_or(i64::MAX);
    let mut arrived = arrived.iter().peekable();
    for (print, at) in sent {
        while arrived.next_if(|one| **one < print).is_some() {
            account.invented += 1;
        }
        if arrived.next_if(|one| **one == print).is_some() {
            account.arrived += 1;
            continue;
        }
        let outside = |(start, end): &(i64, i64)| (start - at).max(at - end).max(0);
        let from_gap = gaps.iter().map(outside).min().unwrap_or(i64::MAX);
        let from_start = (at - asked_from).max(0);
        let beyond = from_gap.min(from_start);
        if beyond > SLACK_MS {
            account.unexplained += 1;
            let what = format!("{symbol} {print:?} sent at {at}, gaps {gaps:?}");
            account.first_unexplained.get_or_insert(what);
            continue;
        }
        account.beyond_ms = account.beyond_ms.max(beyond);
        if from_start <= from_gap {
            account.too_early += 1;
        } else {
            account.in_gaps += 1;
        }
    }
    account.invented += arrived.count();
}
