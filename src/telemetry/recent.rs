//! The newest warnings and errors of this process, for a page to show: the same sentences as in the
//! log, equal ones counted, bounded in number and length.

use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// What a person reads; older ones are in the log.
const KEPT: usize = 50;
const CHARACTERS_MAX: usize = 400;

static NEWEST: Mutex<VecDeque<Noted>> = Mutex::new(VecDeque::new());

struct Noted {
    level: Level,
    text: String,
    count: u64,
    last: Instant,
}

/// A warning or an error, and how often it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// `warning` or `error`.
    pub level: &'static str,
    /// One line, fields behind the sentence.
    pub text: String,
    pub count: u64,
    /// How long ago it came last.
    pub age: Duration,
}

/// The newest first.
pub fn newest() -> Vec<Recent> {
    let noted = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
    noted
        .iter()
        .rev()
        .map(|one| Recent {
            level: if one.level == Level::ERROR { "error" } else { "warning" },
            text: one.text.clone(),
            count: one.count,
            age: one.last.elapsed(),
        })
        .collect()
}

/// Notes what passes its filter.
pub(super) struct Noting;

impl<S: Subscriber> Layer<S> for Noting {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        note(*event.metadata().level(), line.into_text());
    }
}

fn note(level: Level, text: String) {
    let mut noted = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
    let known = noted.iter().position(|one| one.level == level && one.text == text);
    let count = known.and_then(|index| noted.remove(index)).map_or(0, |one| one.count);
    if noted.len() >= KEPT {
        noted.pop_front();
    }
    noted.push_back(Noted { level, text, count: count + 1, last: Instant::now() });
}

/// Sentence and fields of one event.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn into_text(self) -> String {
        let all = format!("{}{}", self.message, self.fields);
        let plain = all.chars().map(|one| if one.is_control() { ' ' } else { one });
        plain.take(CHARACTERS_MAX).collect()
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn what_comes_again_is_counted_and_no_more_is_kept_than_is_read() {
        let subscriber = tracing_subscriber::registry().with(Noting);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..3 {
                tracing::warn!(call = "flush", "the store\nis away");
            }
            for number in 0..KEPT - 1 {
                tracing::error!(number, "another one");
            }
        });
        let all = newest();
        assert_eq!(all.len(), KEPT);
        let oldest = all.last().expect("there are some");
        assert_eq!(oldest.text, "the store is away call=flush");
        assert_eq!((oldest.level, oldest.count), ("warning", 3));
        assert_eq!(all[0].text, format!("another one number={}", KEPT - 2));
        note(Level::WARN, "one more".into());
        assert!(newest().iter().all(|one| one.count == 1), "the oldest has gone");
    }
}
