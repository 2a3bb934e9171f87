//! Counts what is allocated while an input is taken, so that "no unbounded memory" is a bound that
//! a test holds, and not an impression.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The system's allocator with a meter.
pub struct Metered;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The meter is one for all threads, so inputs are taken one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the whole process may hold, B: a runaway input ends the process, and not the machine.
const PROCESS_BYTES_MAX: usize = 1 << 30;

/// Whether there is room for `bytes` more, which are then counted.
fn grow(bytes: usize) -> bool {
    let held = HELD.fetch_add(bytes, Relaxed).saturating_add(bytes);
    PEAK.fetch_max(held, Relaxed);
    let has_room = held <= PROCESS_BYTES_MAX;
    if !has_room {
        shrink(bytes);
    }
    has_room
}

fn shrink(bytes: usize) {
    HELD.fetch_sub(bytes, Relaxed);
}

// Only counts and refuses; what allocates is the system's.
unsafe impl GlobalAlloc for Metered {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if grow(layout.size()) { unsafe { System.alloc(layout) } } else { null_mut() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if grow(layout.size()) { unsafe { System.alloc_zeroed(layout) } } else { null_mut() }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !grow(size) {
            return null_mut();
        }
        shrink(layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes that `run` held at its most, beyond what was held before.
pub fn most_held(run: impl FnOnce()) -> usize {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    run();
    PEAK.load(Relaxed).saturating_sub(before)
}
