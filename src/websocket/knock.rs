//! A look at the feed's door, for who wants to know whether a producer would get in: the upgrade,
//! nothing else. What is asked for with a key counts as its connection, so it may be asked only
//! when nobody else uses the key.

use std::time::Duration;

use chrono::DateTime;
use tokio::time::timeout;
use tokio_tungstenite::connect_async_tls_with_config;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::http::{HeaderMap, header};

use super::address::Address;
use super::ending::Ending;
use super::trust::Trust;
use crate::config::Secret;

/// A feed that can be lived with answers sooner.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A polite close is worth so much waiting.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// What was heard at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// Why the upgrade did not come about; `None`: it did.
    pub refusal: Option<Ending>,
    /// The server's clock, in whole seconds, ms since the epoch; `None`: it told no time.
    pub server_ms: Option<i64>,
}

/// Asks for an upgrade with `key`, an empty one for none, and closes what was opened.
pub async fn knock(address: &Address, trust: &Trust, key: &Secret) -> Knock {
    let request = address.with_key(key);
    let attempt = connect_async_tls_with_config(request, None, true, trust.connector());
    match timeout(ANSWER_WITHIN, attempt).await {
        Ok(Ok((mut socket, response))) => {
            // Whatever the other side makes of it: it is over for us.
            let _ = timeout(CLOSE_WITHIN, socket.close(None)).await;
            Knock { refusal: None, server_ms: told_ms(response.headers()) }
        }
        Ok(Err(error)) => {
            let server_ms = match &error {
                SocketError::Http(response) => told_ms(response.headers()),
                _ => None,
            };
            Knock { refusal: Some(Ending::of_attempt(&error)), server_ms }
        }
        Err(_elapsed) => {
            let text = format!("no answer within {} s", ANSWER_WITHIN.as_secs());
            Knock { refusal: Some(Ending::Refused(text)), server_ms: None }
        }
    }
}

fn told_ms(headers: &HeaderMap) -> Option<i64> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(date).ok().map(|date| date.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn knock_at(answer: &'static str) -> Knock {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("ws://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a client");
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        });
        let address = Address::parse(&address).expect("valid");
        knock(&address, &Trust::default(), &Secret::default()).await
    }

    #[tokio::test]
    async fn a_refusal_tells_its_status_and_the_time() {
        let knock = knock_at(
            "HTTP/1.1 401 Unauthorized\r\ndate: Mon, 11 Mar 2024 13:30:00 GMT\r\n\
             content-length: 0\r\n\r\n",
        )
        .await;
        assert!(matches!(knock.refusal, Some(Ending::WrongKey(_))), "{knock:?}");
        assert_eq!(knock.server_ms, Some(1_710_163_800_000));
    }

    #[tokio::test]
    async fn nobody_at_the_door_is_a_refusal_too() {
        let address = Address::parse("ws://127.0.0.1:1").expect("valid");
        let knock = knock(&address, &Trust::default(), &Secret::default()).await;
        assert!(matches!(&knock.refusal, Some(Ending::Refused(text)) if text.contains("refused")));
        assert_eq!(knock.server_ms, None);
    }
}
