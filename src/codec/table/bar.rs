//! Columns of the gold tables and of the history of bars.

use std::sync::LazyLock;

use super::{Cell, Column, Kind, Row};
use crate::model::{
    Bar, BarRevision, BarState, ExclusionReason, PricePoint, RevisionWhy, Session, Verdict,
};

static BAR: LazyLock<Vec<Column<Bar>>> = LazyLock::new(|| {
    let mut columns = key_columns();
    columns.extend(price_columns());
    columns.extend(amount_columns());
    columns.extend(trust_columns());
    PRICES.iter().for_each(|price| columns.extend(setter_columns(*price)));
    for index in 0..ExclusionReason::ALL.len() {
        columns.extend(exclusion_columns(index));
    }
    columns.extend(provenance_columns());
    columns
});

static REVISION: LazyLock<Vec<Column<BarRevision>>> = LazyLock::new(|| {
    let words = RevisionWhy::ALL.iter().map(|why| why.as_str()).collect();
    let meaning = "Why the bar changed; closed: what it was at its closing.";
    let why =
        Column::new("why", Kind::Word(words), meaning, |one: &BarRevision| one.why.as_str().into());
    let of_bar = Bar::columns().iter().map(|column| {
        let (name, kind) = (&*column.name, column.kind.clone());
        let copy =
            Column::new(name, kind, column.meaning, move |one: &BarRevision| column.cell(&one.bar));
        Column { is_nullable: column.is_nullable, ..copy }
    });
    std::iter::once(why).chain(of_bar).collect()
});

impl Row for Bar {
    fn columns() -> &'static [Column<Self>] {
        &BAR
    }
}

impl Row for BarRevision {
    fn columns() -> &'static [Column<Self>] {
        &REVISION
    }
}

/// A price of the bar: its name, and the trade that set it.
#[derive(Clone, Copy)]
struct Price {
    name: &'static str,
    meaning: &'static str,
    of: fn(&Bar) -> Option<PricePoint>,
}

const PRICES: [Price; 4] = [
    Price {
        name: "open",
        meaning: "First eligible price; null when no trade of the window could set it.",
        of: |bar| bar.open,
    },
    Price { name: "high", meaning: "Highest eligible price.", of: |bar| bar.high },
    Price { name: "low", meaning: "Lowest eligible price.", of: |bar| bar.low },
    Price { name: "close", meaning: "Last eligible price.", of: |bar| bar.close },
];

fn key_columns() -> Vec<Column<Bar>> {
    vec![
        Column::new("symbol", Kind::Text, "As the feed spells it.", |bar: &Bar| {
            (&*bar.symbol).into()
        }),
        Column::new("interval", Kind::Text, "Length of the bar, such as 5m.", |bar: &Bar| {
            bar.interval.to_string().into()
        }),
        Column::new("ts", Kind::Instant, "Start of the window.", |bar: &Bar| {
            bar.window.start_ms.into()
        }),
        Column::new("window_end", Kind::Instant, "End of the window, not in it.", |bar: &Bar| {
            bar.window.end_ms.into()
        }),
    ]
}

fn price_columns() -> impl Iterator<Item = Column<Bar>> {
    PRICES.into_iter().map(|Price { name, meaning, of }| {
        Column::new(name, Kind::Real, meaning, move |bar: &Bar| {
            of(bar).map(|point| point.price).into()
        })
        .nullable()
    })
}

fn amount_columns() -> Vec<Column<Bar>> {
    let vwap = "Volume-weighted average price; null when the volume is 0.";
    let count = "Trades whose sale conditions allow volume, price updates included.";
    vec![
        Column::new("volume", Kind::Real, "Sum of the trades' volume.", |bar: &Bar| {
            bar.volume.to_f64().into()
        }),
        Column::new("volume_exact", Kind::Text, "The same, as an exact decimal.", |bar: &Bar| {
            bar.volume.to_string().into()
        }),
        Column::new("vwap", Kind::Real, vwap, |bar: &Bar| bar.vwap.into()).nullable(),
        Column::new("trade_count", Kind::Integer, count, |bar: &Bar| bar.trade_count.into()),
    ]
}

fn trust_columns() -> Vec<Column<Bar>> {
    let states = BarState::ALL.iter().map(|state| state.as_str()).collect();
    let verdicts = Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect();
    let sessions = Session::ALL.iter().map(|session| session.as_str()).collect();
    let state = "provisional: still open; corrected: changed after its closing.";
    let revision = "Number of inputs that changed the bar.";
    let generation = "0 for the first pass; a rebuild or reset takes the next.";
    let coverage = "Share of the window in which the feed was up; null: nothing vouches for it.";
    let gap = "Time in the window in which the feed is known to have been away, ms.";
    let session = "New York session of a US stock's bar; null for other symbols.";
    vec![
        Column::new("state", Kind::Word(states), state, |bar: &Bar| bar.state.as_str().into()),
        Column::new("revision", Kind::Integer, revision, |bar: &Bar| bar.revision.into()),
        Column::new("generation", Kind::Integer, generation, |bar: &Bar| bar.generation.into()),
        Column::new("coverage", Kind::Real, coverage, |bar: &Bar| bar.coverage.into()).nullable(),
        Column::new("gap_ms", Kind::Integer, gap, |bar: &Bar| bar.gap_ms.into()),
        Column::new("verdict", Kind::Word(verdicts), "How complete it is.", |bar: &Bar| {
            bar.verdict.as_str().into()
        }),
        Column::new("session", Kind::Word(sessions), session, |bar: &Bar| {
            bar.session.map(Session::as_str).into()
        })
        .nullable(),
    ]
}

fn setter_columns(price: Price) -> [Column<Bar>; 3] {
    let Price { name, of, .. } = price;
    let part = |suffix: &str, kind: Kind, meaning: &'static str, part: fn(PricePoint) -> i64| {
        let name = format!("{name}_{suffix}");
        Column::new(name, kind, meaning, move |bar: &Bar| of(bar).map(part).into()).nullable()
    };
    [
        part("time", Kind::Instant, "Time of the trade that set the price.", |it| it.trade_time_ms),
        part("connection", Kind::Integer, "Connection of that trade.", |it| it.connection),
        part("seq", Kind::Integer, "Its running number on the connection.", |it| it.seq),
    ]
}

/// `index` is the place of the reason in `ExclusionReason::ALL`.
fn exclusion_columns(index: usize) -> [Column<Bar>; 3] {
    let name = |what: &str| format!("excluded_{}_{what}", ExclusionReason::ALL[index].as_str());
    let volume = "Volume that counted and set no price, for this reason.";
    let exact = "The same, as an exact decimal.";
    [
        Column::new(name("volume"), Kind::Real, volume, move |bar: &Bar| {
            bar.excluded[index].volume.to_f64().into()
        }),
        Column::new(name("volume_exact"), Kind::Text, exact, move |bar: &Bar| {
            bar.excluded[index].volume.to_string().into()
        }),
        Column::new(name("count"), Kind::Integer, "Its trades.", move |bar: &Bar| {
            Cell::from(bar.excluded[index].count)
        }),
    ]
}

fn provenance_columns() -> [Column<Bar>; 2] {
    let version = "Version of the table of sale conditions that judged the trades.";
    let late = "Trades beyond the allowed lateness that a rebuild put in.";
    [
        Column::new("conditions_version", Kind::Integer, version, |bar: &Bar| {
            bar.conditions_version.into()
        }),
        Column::new("late_included", Kind::Integer, late, |bar: &Bar| bar.late_included.into()),
    ]
}
