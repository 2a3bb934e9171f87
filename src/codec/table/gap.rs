//! Columns of `feed_gaps`.

use std::sync::LazyLock;

use super::{Column, Kind, Row};
use crate::model::{FeedGap, GapCause};

static GAP: LazyLock<Vec<Column<FeedGap>>> = LazyLock::new(|| {
    let causes = GapCause::ALL.map(GapCause::as_str).into();
    let end = "First instant that is up again; null while it lasts.";
    let lost = "Of an overflow or a frame that could not be read: elements lost, as far as known.";
    let next = "The connection that took up again.";
    vec![
        Column::new("symbol", Kind::Text, "As the feed spells it.", |gap: &FeedGap| {
            gap.symbol.as_str().into()
        }),
        Column::new("gap_start", Kind::Instant, "Last confirmed instant.", |gap: &FeedGap| {
            gap.from_ms.into()
        }),
        Column::new("gap_end", Kind::Instant, end, |gap: &FeedGap| gap.to_ms.into()).nullable(),
        Column::new("gap_ms", Kind::Integer, "Its length, ms.", |gap: &FeedGap| {
            gap.to_ms.map(|to_ms| to_ms - gap.from_ms).into()
        })
        .nullable(),
        Column::new("connection", Kind::Integer, "The one that was lost.", |gap: &FeedGap| {
            gap.connection.into()
        }),
        Column::new("next_connection", Kind::Integer, next, |gap: &FeedGap| {
            gap.next_connection.into()
        })
        .nullable(),
        Column::new("cause", Kind::Word(causes), "Why.", |gap: &FeedGap| gap.cause.as_str().into()),
        Column::new("feed", Kind::Text, "Producer and slot of its key.", |gap: &FeedGap| {
            gap.feed.as_str().into()
        }),
        Column::new("lost_records", Kind::Integer, lost, |gap: &FeedGap| gap.lost_records.into()),
        Column::new("detail", Kind::Text, "A reason for people.", |gap: &FeedGap| {
            gap.detail.as_str().into()
        }),
    ]
});

impl Row for FeedGap {
    fn columns() -> &'static [Column<Self>] {
        &GAP
    }
}
