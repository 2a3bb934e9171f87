//! The forms in which rows are answered, and which of them a reader wants.

use super::problem::Problem;

/// How rows are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
    /// Arrow's streaming format.
    Arrow,
    Parquet,
}

impl Format {
    /// What is preferred comes first.
    pub const ALL: [Format; 4] = [Self::Json, Self::Csv, Self::Arrow, Self::Parquet];

    /// The word for `format=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// The same without parameters, as it stands in `Accept`.
    pub fn essence(self) -> &'static str {
        self.media_type().split(';').next().unwrap_or_default()
    }

    pub fn named(name: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Problem::bad_parameter(format!("'format' is '{name}'; there are {names}"))
        })
    }

    /// The one that the value of an `Accept` header likes best; an empty one takes all.
    pub fn accepted(accept: &str) -> Result<Self, Problem> {
        if accept.trim().is_empty() {
            return Ok(Self::Json);
        }
        let ranges: Vec<Range<'_>> = accept.split(',').filter_map(Range::parse).collect();
        let mut best: Option<((u16, u8), Self)> = None;
        for format in Self::ALL {
            let liking = format.liking(&ranges);
            let is_better = best.is_none_or(|(best, _)| liking > best);
            if liking.0 > 0 && is_better {
                best = Some((liking, format));
            }
        }
        best.map(|(_, format)| format).ok_or_else(|| {
            let types = Self::ALL.map(Self::essence).join(", ");
            Problem::not_acceptable(format!("none of '{accept}' is made here; there are {types}"))
        })
    }

    /// Quality in thousandths, and how exactly the range names it.
    fn liking(self, ranges: &[Range<'_>]) -> (u16, u8) {
        let matching = ranges.iter().filter_map(|range| {
            let exactness = range.exactness(self.essence())?;
            Some((exactness, range.quality))
        });
        let best = matching.max_by_key(|(exactness, _)| *exactness);
        best.map_or((0, 0), |(exactness, quality)| (quality, exactness))
    }
}

/// One entry of `Accept`.
struct Range<'a> {
    media: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// `None` for an entry that is none.
    fn parse(entry: &'a str) -> Option<Self> {
        let mut parts = entry.split(';').map(str::trim);
        let media = parts.next().filter(|media| media.contains('/'))?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let quality: f64 = weight.map_or(Some(1.0), |text| text.parse().ok())?;
        let is_quality = (0.0..=1.0).contains(&quality);
        is_quality.then_some(Self { media, quality: (quality * 1_000.0).round() as u16 })
    }

    /// How exactly it names `essence`: 3 by name, 2 by kind, 1 by anything; `None`: not at all.
    fn exactness(&self, essence: &str) -> Option<u8> {
        let kind = essence.split('/').next().unwrap_or_default();
        let is_kind = |media: &str| {
            media.strip_suffix("/*").is_some_and(|wanted| wanted.eq_ignore_ascii_case(kind))
        };
        match self.media {
            "*/*" => Some(1),
            media if is_kind(media) => Some(2),
            media if media.eq_ignore_ascii_case(essence) => Some(3),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_liked_form_is_taken() {
        for (accept, expected) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Json),
            ("text/csv", Format::Csv),
            ("TEXT/*", Format::Csv),
            ("text/csv, */*", Format::Csv),
            ("application/json;q=0.5, application/vnd.apache.parquet", Format::Parquet),
            ("application/*;q=0.2, text/csv;q=0.1", Format::Json),
            ("application/json;q=0, application/*", Format::Arrow),
            ("application/vnd.apache.arrow.stream;q=0.9,application/json;q=0.8", Format::Arrow),
        ] {
            assert_eq!(Format::accepted(accept).expect(accept), expected, "{accept}");
        }
        for accept in ["text/html", "image/*", "application/json;q=0", "json", "text/csv;q=2"] {
            Format::accepted(accept).expect_err(accept);
        }
    }
}
