//! Threads for simulated processes, used again and again: a thread each would go through all
//! process ids of a machine within minutes.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

pub const THREAD: &str = "simulated";

type Work = Box<dyn FnOnce() + Send>;

/// Ways to threads that have nothing to do.
static IDLE: Mutex<Vec<Sender<Work>>> = Mutex::new(Vec::new());

/// Runs `work` on a thread that is free, or on a new one. It must not panic.
pub fn run(work: Work) {
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let hand = idle.unwrap_or_else(hire);
    hand.send(work).expect("an idle thread waits for work");
}

fn hire() -> Sender<Work> {
    let (hand, works) = channel::<Work>();
    let itself = hand.clone();
    let body = move || {
        for work in works {
            work();
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(itself.clone());
        }
    };
    let thread = std::thread::Builder::new().name(THREAD.into()).stack_size(2 << 20);
    thread.spawn(body).expect("a thread");
    hand
}
