//! Columns of the tables of trades, bronze and silver alike.

use std::sync::LazyLock;

use super::{Cell, Column, Kind, Row};
use crate::codec::row;
use crate::model::{Conditions, Judged, LateWindow, Lateness, Session};

static TRADE: LazyLock<Vec<Column<Judged>>> = LazyLock::new(|| {
    let mut columns = received_columns();
    columns.extend(judged_columns());
    columns.extend(lateness_columns());
    columns
});

impl Row for Judged {
    fn columns() -> &'static [Column<Self>] {
        &TRADE
    }
}

fn received_columns() -> Vec<Column<Judged>> {
    let connection = "The connection that delivered it; with seq it names the trade for good.";
    let seq = "Running number of the element on its connection.";
    let conditions = "Sale conditions, separated by commas; null: the feed sent none.";
    vec![
        Column::new("symbol", Kind::Text, "As the feed spells it.", |it: &Judged| {
            it.trade.symbol.as_str().into()
        }),
        Column::new("ts", Kind::Instant, "The trade's own time.", |it: &Judged| {
            it.trade.trade_time_ms.into()
        }),
        Column::new("connection", Kind::Integer, connection, |it: &Judged| {
            it.trade.connection.into()
        }),
        Column::new("seq", Kind::Integer, seq, |it: &Judged| it.trade.seq.into()),
        Column::new("price", Kind::Real, "In the quote currency.", |it: &Judged| {
            it.trade.price.into()
        })
        .nullable(),
        Column::new("volume", Kind::Real, "0: a price update.", |it: &Judged| {
            it.trade.volume.into()
        })
        .nullable(),
        Column::new("conditions", Kind::Text, conditions, |it: &Judged| {
            let text = |codes: &Conditions| {
                let mut text = String::new();
                row::write_conditions(codes, &mut text);
                text
            };
            it.trade.conditions.as_ref().map(text).into()
        })
        .nullable(),
        Column::new("received_at", Kind::Instant, "Arrival at the socket.", |it: &Judged| {
            let arrival_us = Some(it.trade.received_at_us).filter(|arrival_us| *arrival_us != 0);
            arrival_us.map(|arrival_us| arrival_us.div_euclid(1_000)).into()
        })
        .nullable(),
        Column::new("feed", Kind::Text, "Producer and slot of its key.", |it: &Judged| {
            it.trade.feed.as_str().into()
        }),
    ]
}

fn judged_columns() -> Vec<Column<Judged>> {
    const DISPOSITIONS: [&str; 4] = ["merged", "duplicate", "rejected", "late"];
    let sessions = Session::ALL.iter().map(|session| session.as_str()).collect();
    let session = "New York session of a US stock's trade; null for other symbols.";
    let updates = "What it may change: last, high_low, volume, or all; null: nothing.";
    let offset = "Its place in that partition.";
    vec![
        Column::new(
            "disposition",
            Kind::Word(DISPOSITIONS.into()),
            "What became of it.",
            |it: &Judged| it.disposition.as_str().into(),
        ),
        Column::new("reason", Kind::Text, "Why; empty where that says it.", |it: &Judged| {
            it.disposition.reason().into()
        }),
        Column::new("session", Kind::Word(sessions), session, |it: &Judged| {
            it.session.map(Session::as_str).into()
        })
        .nullable(),
        Column::new("updates", Kind::Text, updates, |it: &Judged| row::updates_text(it).into())
            .nullable(),
        Column::new("log_partition", Kind::Integer, "Partition of the log.", |it: &Judged| {
            it.origin.partition.into()
        }),
        Column::new("log_offset", Kind::Integer, offset, |it: &Judged| it.origin.offset.into()),
    ]
}

fn lateness(part: fn(Lateness) -> i64) -> impl Fn(&Judged) -> Cell<'_> + Send + Sync + 'static {
    move |it: &Judged| it.lateness.map(part).into()
}

fn lateness_columns() -> [Column<Judged>; 4] {
    let states = [LateWindow::Open, LateWindow::Closed, LateWindow::Gone];
    let states = states.map(LateWindow::as_str).into();
    let watermark = "Of a late trade: the watermark that it was behind.";
    let start = "Of a late trade: start of the shortest window that it belongs to.";
    [
        Column::new("watermark", Kind::Instant, watermark, lateness(|it| it.watermark_ms))
            .nullable(),
        Column::new(
            "late_by_ms",
            Kind::Integer,
            "How far behind it.",
            lateness(|it| it.late_by_ms),
        )
        .nullable(),
        Column::new("late_window_start", Kind::Instant, start, lateness(|it| it.window_start_ms))
            .nullable(),
        Column::new("late_window_state", Kind::Word(states), "How it stood.", |it: &Judged| {
            it.lateness.map(|lateness| lateness.window.as_str()).into()
        })
        .nullable(),
    ]
}
