//! `/api/v1/ws`: the same live updates over a WebSocket, for readers that change what they follow
//! without connecting again.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::Deserialize;
use tokio::time::{Instant, interval, timeout};

use super::api::ApiContext;
use super::asked::Asked;
use super::live_reader::{LiveReader, Update, wanted};
use super::origins::Origins;
use super::problem::Problem;

/// A wish is a line; whoever sends more is refused.
const MESSAGE_BYTES_MAX: usize = 64 * 1_024;
const PING_EVERY: Duration = Duration::from_secs(10);
/// Of a reader that answers no ping, the socket is closed.
const SILENT_AFTER: Duration = Duration::from_secs(40);
/// A reader that takes nothing in for so long is let go.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// What a reader may send: from now on these symbols, and bars of this interval.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    symbols: Vec<String>,
    interval: Option<String>,
}

/// Text frames `{"event": …, "data": …}` with the events of `/api/v1/stream`.
pub(super) async fn socket(
    State(context): State<ApiContext>,
    origins: Option<Extension<Origins>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    asked: Asked,
) -> Result<Response, Problem> {
    // Browsers let every page open a socket to everywhere, and send the password along.
    let origins = origins.map(|Extension(origins)| origins).unwrap_or_default();
    refuse_strangers(&origins, asked.headers())?;
    let upgrade = upgrade.map_err(|problem| Problem::upgrade_required(problem.body_text()))?;
    let reader = LiveReader::open(&context, &asked)?;
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| converse(socket, reader, context)))
}

fn refuse_strangers(origins: &Origins, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let own = origin.split_once("://").map(|(_, host)| host);
    let is_own = own.is_some() && own == text(header::HOST);
    if is_own || origins.allow(origin) {
        return Ok(());
    }
    Err(Problem::foreign_origin(origin))
}

/// Until either side has enough.
async fn converse(mut socket: WebSocket, mut reader: LiveReader, context: ApiContext) {
    let mut pings = interval(PING_EVERY);
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            update = reader.next() => frame(&update),
            received = socket.recv() => {
                let Some(Ok(received)) = received else { return };
                heard = Instant::now();
                match received {
                    Message::Text(text) => frame(&comply(&context, &mut reader, &text)),
                    Message::Close(_) => return,
                    _ => continue,
                }
            }
            _ = pings.tick() => {
                if heard.elapsed() > SILENT_AFTER {
                    return;
                }
                Message::Ping(Default::default())
            }
        };
        if !matches!(timeout(SEND_WITHIN, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn frame(Update { event, data }: &Update) -> Message {
    Message::Text(format!("{{\"event\":\"{event}\",\"data\":{data}}}").into())
}

/// Does what is wished for, or says why not; either is told.
fn comply(context: &ApiContext, reader: &mut LiveReader, text: &str) -> Update {
    let wish = serde_json::from_str::<Wish>(text).map_err(|error| {
        let example = r#"{"symbols": ["AAPL"], "interval": "5m"}"#;
        Problem::bad_parameter(format!("a wish is such as {example}: {error}"))
    });
    let wanted = wish.and_then(|wish| wanted(context, wish.symbols, wish.interval.as_deref()));
    match wanted {
        Ok(wanted) => {
            let data = wanted.to_json();
            reader.turn_to(wanted);
            Update { event: "following", data }
        }
        Err(problem) => {
            // A few texts and a number always have a JSON form.
            let data = serde_json::to_string(&problem.body()).unwrap_or_default();
            Update { event: "problem", data }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_hosts_are_strangers() {
        let headers = |origin: &str| {
            let pairs = [(header::HOST, "127.0.0.1:8501"), (header::ORIGIN, origin)];
            let parsed = pairs.map(|(name, value)| (name, value.parse().expect("a value")));
            HeaderMap::from_iter(parsed)
        };
        let origins = Origins::new(&["https://desk.example".to_owned()]);
        for origin in ["http://127.0.0.1:8501", "https://desk.example"] {
            refuse_strangers(&origins, &headers(origin)).expect(origin);
        }
        for origin in ["http://127.0.0.1:9999", "https://desk.example.org", "null", ""] {
            refuse_strangers(&origins, &headers(origin)).expect_err(origin);
        }
        refuse_strangers(&origins, &HeaderMap::new()).expect("programs name no origin");
        let all = Origins::new(&["*".to_owned()]);
        refuse_strangers(&all, &headers("https://anywhere.example")).expect("all may");
    }
}
