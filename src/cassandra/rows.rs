//! Trades, bars and feed events as rows, cell by cell in the order of the templates in
//! `schemas/cassandra`.

use super::cells::Cells;
use crate::codec::row;
use crate::model::{
    Bar, BarRevision, Exclusion, FeedGap, Judged, LateWindow, PricePoint, Session, StoredEvent,
};

/// `trades.cql` but for write timestamp and lifetime. Absent columns stay unset: a trade is written
/// once, so there is nothing to overwrite. `text` is a buffer to work in.
pub fn trade(judged: &Judged, cells: &mut Cells<'_>, text: &mut String) {
    let trade = &judged.trade;
    let received_at_ms =
        (trade.received_at_us != 0).then(|| trade.received_at_us.div_euclid(1_000));
    let reason = judged.disposition.reason();
    let late = judged.lateness;
    cells
        .text(row::key_symbol(&trade.symbol))
        .int(row::bucket_of(trade.trade_time_ms))
        .long(trade.trade_time_ms)
        .long(trade.connection)
        .long(trade.seq);
    text.clear();
    match &trade.conditions {
        Some(codes) => {
            row::write_conditions(codes, text);
            cells.text(text);
        }
        None => {
            cells.unset();
        }
    }
    cells
        .text(judged.disposition.as_str())
        .text(&trade.feed)
        .long_or_unset(late.map(|late| late.late_by_ms))
        .long_or_unset(late.map(|late| late.window_start_ms))
        .text_or_unset(late.map(|late| LateWindow::as_str(late.window)))
        .long(judged.origin.offset)
        .int(judged.origin.partition)
        .double(trade.price)
        // Never unset: the row of a repeat has the same key, and its reason would show through.
        .text(reason)
        .long_or_unset(received_at_ms)
        .text_or_unset(judged.session.map(Session::as_str))
        .text_or_unset(row::updates_text(judged))
        .double(trade.volume)
        .long_or_unset(late.map(|late| late.watermark_ms));
}

/// `trades_gold.cql` but for write timestamp and lifetime.
pub fn bar(bar: &Bar, cells: &mut Cells<'_>) {
    cells.text(&bar.symbol);
    content(bar, cells);
}

/// The columns of a bar from `ts` on. Every one is bound: a null must overwrite what an older
/// revision wrote.
fn content(bar: &Bar, cells: &mut Cells<'_>) {
    let points = [bar.open, bar.high, bar.low, bar.close];
    cells.long(bar.window.start_ms).long(bar.window.end_ms);
    for point in points {
        cells.double_or_null(point.map(|point| point.price));
    }
    cells
        .double(bar.volume.to_f64())
        .text(&bar.volume.to_string())
        .double_or_null(bar.vwap)
        .long(bar.trade_count)
        .text(bar.state.as_str())
        .long(bar.revision)
        .long(bar.generation)
        .double_or_null(bar.coverage)
        .long(bar.gap_ms)
        .text(bar.verdict.as_str());
    match bar.session {
        Some(session) => cells.text(session.as_str()),
        None => cells.null(),
    };
    for point in points {
        provenance(point, cells);
    }
    for excluded in &bar.excluded {
        exclusion(excluded, cells);
    }
    cells.int(bar.conditions_version).long(bar.late_included);
}

fn provenance(point: Option<PricePoint>, cells: &mut Cells<'_>) {
    cells
        .long_or_null(point.map(|point| point.trade_time_ms))
        .long_or_null(point.map(|point| point.connection))
        .long_or_null(point.map(|point| point.seq));
}

fn exclusion(excluded: &Exclusion, cells: &mut Cells<'_>) {
    if *excluded == Exclusion::default() {
        // Most bars exclude little; "0" needs no formatting.
        cells.double(0.0).text("0").long(0);
        return;
    }
    let volume = excluded.volume;
    cells.double(volume.to_f64()).text(&volume.to_string()).long(excluded.count);
}

/// `bar_revisions.cql` but for write timestamp and lifetime.
pub fn revision(revision: &BarRevision, cells: &mut Cells<'_>) {
    let BarRevision { bar, why } = revision;
    cells
        .text(&bar.symbol)
        .text(&bar.interval.to_string())
        .int(row::day_of(bar.window.start_ms))
        .text(why.as_str());
    content(bar, cells);
}

/// The key of a bar to delete, after the write timestamp.
pub fn removal(timestamp_us: i64, symbol: &str, start_ms: i64, cells: &mut Cells<'_>) {
    cells.long(timestamp_us).text(symbol).long(start_ms);
}

/// `feed_gaps.cql` but for write timestamp and lifetime. Every column is bound: the end of a gap
/// overwrites its beginning.
pub fn gap(gap: &FeedGap, cells: &mut Cells<'_>) {
    cells
        .text(row::key_symbol(&gap.symbol))
        .int(row::day_of(gap.from_ms))
        .long(gap.from_ms)
        .long(gap.connection)
        .text(gap.cause.as_str())
        .text(&gap.feed)
        .long_or_null(gap.to_ms)
        .long_or_null(gap.to_ms.map(|to_ms| to_ms.saturating_sub(gap.from_ms)))
        .long_or_null(gap.next_connection)
        .long(gap.lost_records)
        .text(&gap.detail);
}

/// `feed_events.cql` but for write timestamp and lifetime.
pub fn event(stored: &StoredEvent, cells: &mut Cells<'_>) {
    let event = &stored.event;
    let at_ms = event.at_us.div_euclid(1_000);
    let symbols = row::symbols_text(&event.symbols);
    cells
        .int(stored.origin.partition)
        .int(row::day_of(at_ms))
        .long(at_ms)
        .long(event.connection)
        .long(event.seq)
        .text(event.kind.as_str())
        .text(&event.feed)
        .long(event.at_us)
        .long_or_unset(event.feed_time_ms)
        .long_or_unset(event.confirmed_at_us.map(|us| us.div_euclid(1_000)))
        .long_or_unset(event.confirmed_at_us)
        .long_or_unset(event.confirmed_feed_time_ms)
        .text_or_unset(symbols.as_deref())
        .long(event.lost_records)
        .text_or_unset((!event.detail.is_empty()).then_some(&event.detail))
        .long(stored.origin.offset);
}
