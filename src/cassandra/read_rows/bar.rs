//! A bar's row, made a noun again: the bar as it is, or a content that it had.

use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;

use super::{parse_session, unknown};
use crate::error::Result;
use crate::model::{
    Amount, Bar, BarRevision, BarState, Exclusion, Interval, PricePoint, RevisionWhy, Verdict,
    Window,
};

macro_rules! bar_row {
    ($($field:ident: $type:ty),+ $(,)?) => {
        /// A row of `trades_gold.cql`.
        #[derive(DeserializeRow)]
        pub struct BarRow { $($field: $type),+ }
        impl BarRow {
            pub const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];
        }

        /// A row of `bar_revisions.cql`: a bar's columns, and why it was written.
        #[derive(DeserializeRow)]
        pub struct RevisionRow { why: String, $($field: $type),+ }
        impl RevisionRow {
            pub const COLUMNS: &'static [&'static str] = &["why", $(stringify!($field)),+];

            pub fn into_revision(self, interval: Interval) -> Result<BarRevision> {
                let why = RevisionWhy::parse(&self.why).ok_or_else(|| unknown("why", &self.why))?;
                let bar = BarRow { $($field: self.$field),+ };
                Ok(BarRevision { bar: bar.into_bar(interval)?, why })
            }
        }
    };
}

// What a row must have is optional here: one that was put in by hand, by whatever was left out, has
// to be readable to be found.
bar_row! {
    symbol: String,
    ts: CqlTimestamp,
    window_end: Option<CqlTimestamp>,
    open: Option<f64>,
    high: Option<f64>,
    low: Option<f64>,
    close: Option<f64>,
    volume_exact: Option<String>,
    vwap: Option<f64>,
    trade_count: Option<i64>,
    state: Option<String>,
    revision: Option<i64>,
    generation: Option<i64>,
    coverage: Option<f64>,
    gap_ms: Option<i64>,
    verdict: Option<String>,
    session: Option<String>,
    open_time: Option<CqlTimestamp>,
    open_connection: Option<i64>,
    open_seq: Option<i64>,
    high_time: Option<CqlTimestamp>,
    high_connection: Option<i64>,
    high_seq: Option<i64>,
    low_time: Option<CqlTimestamp>,
    low_connection: Option<i64>,
    low_seq: Option<i64>,
    close_time: Option<CqlTimestamp>,
    close_connection: Option<i64>,
    close_seq: Option<i64>,
    excluded_odd_lot_volume_exact: Option<String>,
    excluded_odd_lot_count: Option<i64>,
    excluded_extended_volume_exact: Option<String>,
    excluded_extended_count: Option<i64>,
    excluded_out_of_sequence_volume_exact: Option<String>,
    excluded_out_of_sequence_count: Option<i64>,
    excluded_average_price_volume_exact: Option<String>,
    excluded_average_price_count: Option<i64>,
    excluded_unknown_volume_exact: Option<String>,
    excluded_unknown_count: Option<i64>,
    excluded_other_volume_exact: Option<String>,
    excluded_other_count: Option<i64>,
    conditions_version: Option<i32>,
    late_included: Option<i64>,
}

impl BarRow {
    pub fn into_bar(self, interval: Interval) -> Result<Bar> {
        let excluded = [
            (&self.excluded_odd_lot_volume_exact, self.excluded_odd_lot_count),
            (&self.excluded_extended_volume_exact, self.excluded_extended_count),
            (&self.excluded_out_of_sequence_volume_exact, self.excluded_out_of_sequence_count),
            (&self.excluded_average_price_volume_exact, self.excluded_average_price_count),
            (&self.excluded_unknown_volume_exact, self.excluded_unknown_count),
            (&self.excluded_other_volume_exact, self.excluded_other_count),
        ];
        let mut exclusions = [Exclusion::default(); 6];
        for (exclusion, (volume, count)) in exclusions.iter_mut().zip(excluded) {
            *exclusion = Exclusion { volume: parse_amount(volume)?, count: count.unwrap_or(0) };
        }
        let end_ms = self.window_end.map_or(self.ts.0, |end| end.0);
        Ok(Bar {
            interval,
            window: Window { start_ms: self.ts.0, end_ms },
            open: point(self.open, self.open_time, self.open_connection, self.open_seq),
            high: point(self.high, self.high_time, self.high_connection, self.high_seq),
            low: point(self.low, self.low_time, self.low_connection, self.low_seq),
            close: point(self.close, self.close_time, self.close_connection, self.close_seq),
            volume: parse_amount(&self.volume_exact)?,
            vwap: self.vwap,
            trade_count: self.trade_count.unwrap_or(0),
            excluded: exclusions,
            session: parse_session(self.session.as_deref())?,
            coverage: self.coverage,
            gap_ms: self.gap_ms.unwrap_or(0),
            verdict: word(self.verdict.as_deref(), "verdict", Verdict::parse, Verdict::Unknown)?,
            state: word(self.state.as_deref(), "state", BarState::parse, BarState::Provisional)?,
            revision: self.revision.unwrap_or(0),
            generation: self.generation.unwrap_or(0),
            conditions_version: self.conditions_version.unwrap_or(0),
            // Null in rows from before the column was there.
            late_included: self.late_included.unwrap_or(0),
            symbol: self.symbol.into(),
        })
    }
}

fn parse_amount(text: &Option<String>) -> Result<Amount> {
    let Some(text) = text else { return Ok(Amount::ZERO) };
    text.parse().map_err(|()| unknown("an exact volume", text))
}

fn word<T>(
    text: Option<&str>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    absent: T,
) -> Result<T> {
    text.map_or(Ok(absent), |text| parse(text).ok_or_else(|| unknown(column, text)))
}

fn point(
    price: Option<f64>,
    time: Option<CqlTimestamp>,
    connection: Option<i64>,
    seq: Option<i64>,
) -> Option<PricePoint> {
    let (price, CqlTimestamp(trade_time_ms)) = (price?, time?);
    Some(PricePoint { price, trade_time_ms, connection: connection?, seq: seq? })
}
