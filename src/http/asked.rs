//! What a request asks for: its query, taken apart so that whatever cannot be used is answered with
//! a sentence, and the headers that shape the answer.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use chrono::DateTime;

use super::format::Format;
use super::page::{Key, Span};
use super::problem::Problem;

/// Rows of one answer, unless asked otherwise, and at most.
pub(super) const LIMIT_DEFAULT: usize = 500;
pub(super) const LIMIT_MAX: usize = 10_000;
/// Instants that an answer can be about, ms since the epoch: the years 1 to 9999, as in RFC 3339.
pub(super) const INSTANT_MIN_MS: i64 = -62_135_596_800_000;
pub(super) const INSTANT_MAX_MS: i64 = 253_402_300_799_999;
/// Symbols named in one request.
pub(super) const SYMBOLS_MAX: usize = 1_000;

/// Every parameter that an operation may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    Interval,
    Tier,
    From,
    To,
    At,
    Limit,
    Cursor,
    /// Where pages are cut between symbols.
    SymbolCursor,
    Format,
    Symbol,
    Symbols,
    Events,
    Names,
}

impl Parameter {
    pub fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Tier => "tier",
            Self::From => "from",
            Self::To => "to",
            Self::At => "at",
            Self::Limit => "limit",
            Self::Cursor | Self::SymbolCursor => "cursor",
            Self::Format => "format",
            Self::Symbol => "symbol",
            Self::Symbols => "symbols",
            Self::Events => "events",
            Self::Names => "names",
        }
    }
}

/// Laid beside each request by the route that it took: the parameters that the operation has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken(pub &'static [Parameter]);

/// A request whose parameters all belong to its operation, each given once.
#[derive(Debug)]
pub(super) struct Asked {
    pairs: Vec<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let taken = parts.extensions.get::<Taken>().map_or(&[][..], |Taken(taken)| *taken);
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = query.map_err(|error| Problem::bad_parameter(error.body_text()))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !taken.iter().any(|parameter| parameter.name() == name) {
                return Err(unknown(name, taken));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::bad_parameter(format!("'{name}' is given twice")));
            }
        }
        Ok(Self { pairs, uri: parts.uri.clone(), headers: parts.headers.clone() })
    }
}

fn unknown(name: &str, taken: &[Parameter]) -> Problem {
    let names: Vec<&str> = taken.iter().map(|parameter| parameter.name()).collect();
    let remedy = match names.as_slice() {
        [] => "nothing can be asked for here".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    Problem::bad_parameter(format!("'{name}' is no parameter of this; {remedy}"))
}

impl Asked {
    pub fn text(&self, parameter: Parameter) -> Option<&str> {
        let pair = self.pairs.iter().find(|(name, _)| name == parameter.name());
        pair.map(|(_, text)| text.as_str())
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The form of the answer, by `format` or else by `Accept`.
    pub fn format(&self) -> Result<Format, Problem> {
        if let Some(name) = self.text(Parameter::Format) {
            return Format::named(name);
        }
        // Several headers of this name are one list.
        let accept = self.headers.get_all(header::ACCEPT).iter();
        let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
        Format::accepted(&accept.join(","))
    }

    /// `[from, to)`, how many rows of it, and where to go on.
    pub fn span(&self) -> Result<Span, Problem> {
        let instant = |parameter, default_ms| self.instant_ms(parameter, default_ms);
        let from_ms = instant(Parameter::From, INSTANT_MIN_MS)?;
        let to_ms = instant(Parameter::To, INSTANT_MAX_MS)?;
        if from_ms > to_ms {
            return Err(Problem::bad_parameter("'from' is after 'to'"));
        }
        let cursor = self.text(Parameter::Cursor).map(Key::parse).transpose()?;
        Ok(Span { from_ms, to_ms, limit: self.limit()?, cursor })
    }

    fn instant_ms(&self, parameter: Parameter, default_ms: i64) -> Result<i64, Problem> {
        let text = self.text(parameter);
        text.map_or(Ok(default_ms), |text| instant_ms(parameter.name(), text))
    }

    /// Any instant in the bar that is asked for, ms since the epoch.
    pub fn at_ms(&self) -> Result<i64, Problem> {
        let at = self.text(Parameter::At);
        let at = at.ok_or_else(|| Problem::bad_parameter("'at' is missing: which bar?"))?;
        instant_ms(Parameter::At.name(), at)
    }

    pub fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.text(Parameter::Limit) else { return Ok(LIMIT_DEFAULT) };
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| {
            Problem::bad_parameter(format!(
                "'limit' is '{text}'; give a number from 1 to {LIMIT_MAX}"
            ))
        })
    }

    /// The symbols of a list, in its order; none when there is no list.
    pub fn symbols(&self) -> Result<Vec<String>, Problem> {
        let Some(text) = self.text(Parameter::Symbols) else { return Ok(Vec::new()) };
        let symbols: Vec<String> = text.split(',').map(str::to_owned).collect();
        if symbols.iter().any(String::is_empty) {
            let detail = format!("'symbols' is '{text}'; give A,B without an empty one");
            return Err(Problem::bad_parameter(detail));
        }
        if symbols.len() > SYMBOLS_MAX {
            let detail = format!("'symbols' names {}; at most {SYMBOLS_MAX}", symbols.len());
            return Err(Problem::bad_parameter(detail));
        }
        Ok(symbols)
    }

    /// The same request for the rows that come after `cursor`, relative to this host.
    pub fn next(&self, cursor: &str) -> String {
        let is_other = |pair: &&str| pair.split('=').next() != Some("cursor");
        let query = self.uri.query().unwrap_or_default().split('&');
        let kept = query.filter(|pair| !pair.is_empty()).filter(is_other);
        let cursor = format!("cursor={}", escape(cursor));
        let pairs: Vec<&str> = kept.chain([cursor.as_str()]).collect();
        format!("{}?{}", self.uri.path(), pairs.join("&"))
    }
}

/// Percent-encodes what has a meaning of its own in a query.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    let escaped = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}

/// Epoch milliseconds or RFC 3339.
pub(super) fn instant_ms(name: &str, text: &str) -> Result<i64, Problem> {
    let instant_ms = match text.parse::<i64>() {
        Ok(number_ms) => {
            Some(number_ms).filter(|ms| (INSTANT_MIN_MS..=INSTANT_MAX_MS).contains(ms))
        }
        Err(_) => rfc_3339_ms(text).map(|ms| ms.clamp(INSTANT_MIN_MS, INSTANT_MAX_MS)),
    };
    instant_ms.ok_or_else(|| {
        let shown = format!("'{name}' is '{text}'; give epoch milliseconds or RFC 3339");
        Problem::bad_parameter(format!("{shown}, such as 2026-01-05T14:30:00Z"))
    })
}

fn rfc_3339_ms(text: &str) -> Option<i64> {
    let parse = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    // A `+` that was not percent-encoded has become a space on its way.
    let instant = parse(text).or_else(|| {
        let (time, offset) = text.rsplit_once(' ')?;
        parse(&format!("{time}+{offset}"))
    });
    instant.map(|instant| instant.timestamp_millis())
}

/// The symbol at the end of the path.
#[derive(Debug)]
pub(super) struct Symbol(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Symbol {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let unreadable = |rejection: PathRejection| Problem::bad_parameter(rejection.body_text());
        path.map(|Path(symbol)| Self(symbol)).map_err(unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        let uri: Uri = format!("/api/v1/bars/AAPL?{query}").parse().expect("a URI");
        let Query(pairs) = Query::try_from_uri(&uri).expect("a query");
        Asked { pairs, uri, headers: HeaderMap::new() }
    }

    #[test]
    fn instants_are_epoch_milliseconds_or_rfc_3339() {
        for (text, expected) in [
            ("0", 0),
            ("-5", -5),
            ("1767623400000", 1_767_623_400_000),
            ("2026-01-05T14:30:00Z", 1_767_623_400_000),
            ("2026-01-05T15:30:00.25+01:00", 1_767_623_400_250),
            ("2026-01-05T15:30:00 01:00", 1_767_623_400_000),
            ("9999-12-31T23:59:59-23:59", INSTANT_MAX_MS),
            ("0001-01-01T00:00:00+01:00", INSTANT_MIN_MS),
        ] {
            assert_eq!(instant_ms("from", text).expect(text), expected, "{text}");
        }
        for text in ["", "yesterday", "2026-01-05", "1e3", "253402300800000", " 1"] {
            instant_ms("from", text).expect_err(text);
        }
    }

    #[test]
    fn the_next_page_is_the_same_request_with_another_cursor() {
        let first = asked("interval=5m&from=2026-01-05T15:30:00%2B01:00");
        let next = "/api/v1/bars/AAPL?interval=5m&from=2026-01-05T15:30:00%2B01:00&cursor=1.2.-3";
        assert_eq!(first.next("1.2.-3"), next);
        assert_eq!(asked("cursor=9.0.0").next("7.0.0"), "/api/v1/bars/AAPL?cursor=7.0.0");
        assert_eq!(asked("").next("IC M&M"), "/api/v1/bars/AAPL?cursor=IC%20M%26M");
    }

    #[test]
    fn a_list_names_at_least_one_and_not_too_many() {
        let symbols = asked("symbols=AAPL,BINANCE:BTCUSDT").symbols().expect("two");
        assert_eq!(symbols, ["AAPL", "BINANCE:BTCUSDT"]);
        assert!(asked("limit=1").symbols().expect("no list").is_empty());
        let many = |count: usize| vec!["A"; count].join(",");
        asked(&format!("symbols={}", many(1_000))).symbols().expect("as many as may be");
        for list in ["", ",", "A,", "A,,B", &many(1_001)] {
            asked(&format!("symbols={list}")).symbols().expect_err(list);
        }
    }
}
