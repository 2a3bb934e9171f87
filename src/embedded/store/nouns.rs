//! Rows of the embedded store, made nouns again.

use compact_str::CompactString;
use rusqlite::Row;
use rusqlite::types::{Type, ValueRef};

use crate::codec::row;
use crate::model::{
    Amount, Bar, BarRevision, BarState, Disposition, Exclusion, ExclusionReason, FeedEvent,
    FeedEventKind, FeedGap, GapCause, Interval, Judged, LateWindow, Lateness, Origin, PricePoint,
    RevisionWhy, Session, StoredEvent, Trade, Verdict, Window,
};
use crate::port::Contradiction;

type Exclusions = [Exclusion; ExclusionReason::ALL.len()];

/// A word that no version up to this one writes.
#[derive(Debug, thiserror::Error)]
#[error("column {column} holds '{value}', which this version does not know")]
struct UnknownWord {
    column: String,
    value: String,
}

/// The column's text, made a noun by `parse`.
fn parsed<T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let value: String = row.get(column)?;
    parse(&value).ok_or_else(|| {
        let unknown = UnknownWord { column: column.to_owned(), value };
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(unknown))
    })
}

/// The same for a column that may be null.
fn parsed_option<T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => parsed(row, column, parse).map(Some),
    }
}

/// A text that is never null and mostly short.
fn text(row: &Row<'_>, column: &str) -> rusqlite::Result<CompactString> {
    Ok(row.get_ref(column)?.as_str()?.into())
}

pub fn read_trade(row: &Row<'_>) -> rusqlite::Result<Judged> {
    let reason: Option<String> = row.get("reason")?;
    let reason = reason.unwrap_or_default();
    let updates = parsed_option(row, "updates", |text| row::parse_updates(Some(text)))?;
    let [updates_last, updates_high_low, updates_volume] = updates.unwrap_or_default();
    Ok(Judged {
        trade: Trade {
            symbol: text(row, "symbol")?,
            // SQLite keeps NaN as null.
            price: row.get::<_, Option<f64>>("price")?.unwrap_or(f64::NAN),
            volume: row.get::<_, Option<f64>>("volume")?.unwrap_or(f64::NAN),
            trade_time_ms: row.get("ts")?,
            conditions: parsed_option(row, "conditions", row::parse_conditions)?,
            connection: row.get("connection")?,
            seq: row.get("seq")?,
            received_at_us: row.get("received_at_us")?,
            feed: text(row, "feed")?,
        },
        origin: Origin { partition: row.get("log_partition")?, offset: row.get("log_offset")? },
        disposition: parsed(row, "disposition", |text| Disposition::parse(text, &reason))?,
        session: parsed_option(row, "session", Session::parse)?,
        updates_last,
        updates_high_low,
        updates_volume,
        lateness: read_lateness(row)?,
        behind_ms: 0,
    })
}

fn read_lateness(row: &Row<'_>) -> rusqlite::Result<Option<Lateness>> {
    let Some(watermark_ms) = row.get("watermark")? else { return Ok(None) };
    Ok(Some(Lateness {
        watermark_ms,
        late_by_ms: row.get("late_by_ms")?,
        window_start_ms: row.get("late_window_start")?,
        window: parsed(row, "late_window_state", LateWindow::parse)?,
    }))
}

/// A row of a gold table, or of the history.
pub fn read_bar(row: &Row<'_>, interval: Interval) -> rusqlite::Result<Bar> {
    let symbol: String = row.get("symbol")?;
    Ok(Bar {
        symbol: symbol.into(),
        interval,
        window: Window { start_ms: row.get("ts")?, end_ms: row.get("window_end")? },
        open: read_point(row, "open")?,
        high: read_point(row, "high")?,
        low: read_point(row, "low")?,
        close: read_point(row, "close")?,
        volume: read_amount(row, "volume_exact")?,
        vwap: row.get("vwap")?,
        trade_count: row.get("trade_count")?,
        excluded: read_exclusions(row)?,
        session: parsed_option(row, "session", Session::parse)?,
        coverage: row.get("coverage")?,
        gap_ms: row.get("gap_ms")?,
        verdict: parsed(row, "verdict", Verdict::parse)?,
        state: parsed(row, "state", BarState::parse)?,
        revision: row.get("revision")?,
        generation: row.get("generation")?,
        conditions_version: row.get("conditions_version")?,
        late_included: row.get("late_included")?,
    })
}

fn read_exclusions(row: &Row<'_>) -> rusqlite::Result<Exclusions> {
    let mut excluded = Exclusions::default();
    for (exclusion, reason) in excluded.iter_mut().zip(ExclusionReason::ALL) {
        let reason = reason.as_str();
        exclusion.volume = read_amount(row, &format!("excluded_{reason}_volume_exact"))?;
        exclusion.count = row.get(&*format!("excluded_{reason}_count"))?;
    }
    Ok(excluded)
}

/// Cells of a bar's row whose exact twin says something else.
pub fn read_contradictions(row: &Row<'_>) -> rusqlite::Result<Vec<Contradiction>> {
    let mut found = Vec::new();
    let excluded =
        ExclusionReason::ALL.iter().map(|one| format!("excluded_{}_volume", one.as_str()));
    for column in std::iter::once("volume".to_owned()).chain(excluded) {
        let value: Option<f64> = row.get(&*column)?;
        let exact: Option<String> = row.get(&*format!("{column}_exact"))?;
        if !row::agree(value, exact.as_deref()) {
            found.push(Contradiction { start_ms: row.get("ts")?, column, value, exact });
        }
    }
    Ok(found)
}

fn read_amount(row: &Row<'_>, column: &str) -> rusqlite::Result<Amount> {
    parsed(row, column, |text| text.parse().ok())
}

fn read_point(row: &Row<'_>, price: &str) -> rusqlite::Result<Option<PricePoint>> {
    let whole: Option<f64> = row.get(price)?;
    let part = |of: &str| row.get::<_, Option<i64>>(&*format!("{price}_{of}"));
    // A price that no trade is named for was not written by us, and is none.
    let (Some(price), Some(trade_time_ms), Some(connection), Some(seq)) =
        (whole, part("time")?, part("connection")?, part("seq")?)
    else {
        return Ok(None);
    };
    Ok(Some(PricePoint { price, trade_time_ms, connection, seq }))
}

/// A row of `bar_revisions`.
pub fn read_revision(row: &Row<'_>, interval: Interval) -> rusqlite::Result<BarRevision> {
    let why = parsed(row, "why", RevisionWhy::parse)?;
    Ok(BarRevision { bar: read_bar(row, interval)?, why })
}

/// A row of `feed_events`.
pub fn read_event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let symbols = parsed_option(row, "symbols", |text| row::parse_symbols(Some(text)))?;
    Ok(StoredEvent {
        origin: Origin { partition: row.get("log_partition")?, offset: row.get("log_offset")? },
        event: FeedEvent {
            kind: parsed(row, "kind", FeedEventKind::parse)?,
            connection: row.get("connection")?,
            seq: row.get("seq")?,
            feed: row.get("feed")?,
            at_us: row.get("at_us")?,
            feed_time_ms: row.get("feed_time")?,
            confirmed_at_us: row.get("confirmed_at_us")?,
            confirmed_feed_time_ms: row.get("confirmed_feed_time")?,
            symbols: symbols.unwrap_or_default(),
            lost_records: row.get("lost_records")?,
            detail: row.get::<_, Option<String>>("detail")?.unwrap_or_default(),
        },
    })
}

/// A row of `feed_gaps`.
pub fn read_gap(row: &Row<'_>) -> rusqlite::Result<FeedGap> {
    Ok(FeedGap {
        symbol: row.get("symbol")?,
        feed: row.get("feed")?,
        connection: row.get("connection")?,
        from_ms: row.get("gap_start")?,
        to_ms: row.get("gap_end")?,
        next_connection: row.get("next_connection")?,
        cause: parsed(row, "cause", GapCause::parse)?,
        told_at: 0,
        lost_records: row.get("lost_records")?,
        detail: row.get("detail")?,
    })
}
