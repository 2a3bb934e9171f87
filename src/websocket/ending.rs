//! Why a connection ended and what follows from it. The feed has no codes for this, only texts and
//! HTTP statuses, so they are read in one place.

use rustls::Error as TlsError;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::runtime::Pace;

/// How a session, or the attempt at one, ended. The texts never hold the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// We were asked to stop, or nobody listens to us any more.
    Stopped,
    /// Another producer holds the lease of the key.
    GaveWay,
    /// There can be no lease of the key, which has to be mended.
    NoLease(String),
    /// The feed does not know the key: trying again is pointless.
    WrongKey(String),
    /// The feed has had enough of our attempts.
    Throttled(String),
    /// Another connection uses the key: the feed then drops both.
    KeyInUse(String),
    /// Closed right after it opened, which is how a key in use shows as well.
    ClosedAtOnce(String),
    /// No connection came about.
    Refused(String),
    /// Nothing was heard for too long.
    Silent(String),
    /// Closed by the other side or broken, after it had worked.
    Closed(String),
}

impl Ending {
    /// The label in metrics.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::GaveWay => "gave_way",
            Self::NoLease(_) => "no_lease",
            Self::WrongKey(_) => "wrong_key",
            Self::Throttled(_) => "throttled",
            Self::KeyInUse(_) => "key_in_use",
            Self::ClosedAtOnce(_) => "closed_at_once",
            Self::Refused(_) => "refused",
            Self::Silent(_) => "silent",
            Self::Closed(_) => "closed",
        }
    }

    /// The reason in words.
    pub fn detail(&self) -> String {
        match self {
            Self::Stopped => "stopped".into(),
            Self::GaveWay => "another producer holds the lease of this key".into(),
            Self::WrongKey(text) => format!("wrong key: {text}"),
            Self::Throttled(text) => format!("throttled by the feed: {text}"),
            Self::KeyInUse(text) => format!("the key is in use by another connection: {text}"),
            Self::ClosedAtOnce(text) => {
                format!("closed right after it opened, as when the key is in use elsewhere: {text}")
            }
            Self::NoLease(text) | Self::Refused(text) | Self::Silent(text) | Self::Closed(text) => {
                text.clone()
            }
        }
    }

    /// Whether the feed has something against the key, or seems to.
    pub fn rejects_key(&self) -> bool {
        matches!(
            self,
            Self::WrongKey(_) | Self::Throttled(_) | Self::KeyInUse(_) | Self::ClosedAtOnce(_)
        )
    }

    /// How long to wait before the next attempt.
    pub fn pace(&self) -> Pace {
        match self {
            Self::Throttled(_) | Self::KeyInUse(_) | Self::ClosedAtOnce(_) => Pace::Throttled,
            _ => Pace::Ordinary,
        }
    }

    /// What an attempt that brought no connection means.
    pub(super) fn of_attempt(error: &SocketError) -> Self {
        match error {
            SocketError::Http(response) => Self::of_status(response.status()),
            SocketError::Io(error) => Self::Refused(match certificate_problem(error) {
                Some(problem) => format!(
                    "the feed's certificate is not believed ({problem}); name the file of its \
                     authority in finnhub.tls_ca"
                ),
                None => error.to_string(),
            }),
            other => Self::Refused(other.to_string()),
        }
    }

    fn of_status(status: StatusCode) -> Self {
        let text = format!("HTTP {status}");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::WrongKey(text),
            StatusCode::TOO_MANY_REQUESTS => Self::Throttled(text),
            _ => Self::Refused(text),
        }
    }

    /// What an error message or a close reason says about the connection; `None`: nothing.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let says = |clauses: &[&str]| clauses.iter().any(|clause| lower.contains(clause));
        let text = || text.chars().take(200).collect();
        if says(&["already in use", "in use by another", "multiple connections"]) {
            Some(Self::KeyInUse(text()))
        } else if says(&[
            "limit reached",
            "rate limit",
            "too many requests",
            "too many connections",
        ]) {
            Some(Self::Throttled(text()))
        } else if says(&[
            "invalid api key",
            "invalid token",
            "invalid key",
            "wrong api key",
            "use an api key",
            "unauthorized",
        ]) {
            Some(Self::WrongKey(text()))
        } else {
            None
        }
    }
}

/// What is wrong with the certificate, when it is that which broke the connection.
fn certificate_problem(error: &std::io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref()? {
        TlsError::InvalidCertificate(problem) => Some(problem.to_string()),
        _ => None,
    }
}

/// The symbol that an error message of the feed is about, when it names one that was asked for.
pub(super) fn symbol_in<'a>(message: &str, symbols: &'a [String]) -> Option<&'a str> {
    let names = |symbol: &&String| {
        message.match_indices(symbol.as_str()).any(|(at, _)| {
            let before = message[..at].chars().next_back();
            let after = message[at + symbol.len()..].chars().next();
            ![before, after].into_iter().flatten().any(char::is_alphanumeric)
        })
    };
    symbols.iter().filter(names).max_by_key(|symbol| symbol.len()).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_feed_are_understood() {
        for (text, cause) in [
            ("Invalid API key", Some("wrong_key")),
            ("Please use an API key.", Some("wrong_key")),
            ("token already in use", Some("key_in_use")),
            ("API limit reached. Please try again later. Remaining Limit: 0", Some("throttled")),
            ("Subscribing to too many symbols", None),
            ("Invalid symbol FX:EURUSD", None),
            ("bye", None),
        ] {
            assert_eq!(Ending::of_text(text).map(|ending| ending.cause()), cause, "{text}");
        }
    }

    #[test]
    fn statuses_of_the_upgrade_are_understood() {
        for (status, cause) in
            [(401, "wrong_key"), (403, "wrong_key"), (429, "throttled"), (502, "refused")]
        {
            let status = StatusCode::from_u16(status).expect("valid");
            assert_eq!(Ending::of_status(status).cause(), cause);
        }
    }

    #[test]
    fn the_symbol_of_an_error_is_found_as_a_word() {
        let symbols = ["A".to_owned(), "FX:EURUSD".to_owned(), "EURUSD".to_owned()];
        assert_eq!(symbol_in("Invalid symbol FX:EURUSD", &symbols), Some("FX:EURUSD"));
        assert_eq!(symbol_in("Invalid symbol A", &symbols), Some("A"));
        assert_eq!(symbol_in("API limit reached", &symbols), None);
    }
}
