//! One connection from its upgrade to its end: subscribe, hand on what arrives, notice silence.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::address::without_key;
use super::client::Client;
use super::ending::{Ending, symbol_in};
use super::signal::Happening;
use crate::codec::finnhub;
use crate::model::Frame;
use crate::telemetry::feed;

/// An upgrade that takes longer will not come.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// A polite close is worth so much waiting.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);
/// A connection that was closed before this, and before it carried anything, never really opened.
const CLOSED_AT_ONCE: Duration = Duration::from_secs(10);
/// Frames are a kilobyte or two; one that Kafka would refuse (1 MB) must not get in.
const MAX_FRAME_BYTES: usize = 768 * 1024;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection and what it remembers.
pub(super) struct Session<'a> {
    client: &'a Client,
    socket: Socket,
    opened: Instant,
    last_heard: Instant,
    /// It carried trades or pings, so it really was open.
    pub(super) has_worked: bool,
    /// What an error message said about the end to come.
    hint: Option<Ending>,
}

impl<'a> Session<'a> {
    /// Connects and upgrades.
    pub(super) async fn open(client: &'a Client) -> Result<Self, Ending> {
        let request = client.options.address.with_key(&client.options.key);
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let trust = client.options.trust.connector();
        let attempt = connect_async_tls_with_config(request, Some(config), true, trust);
        match timeout(CONNECT_WITHIN, attempt).await {
            Ok(Ok((socket, _response))) => {
                let now = Instant::now();
                let (opened, last_heard) = (now, now);
                Ok(Self { client, socket, opened, last_heard, has_worked: false, hint: None })
            }
            Ok(Err(error)) => Err(Ending::of_attempt(&error)),
            Err(_elapsed) => {
                Err(Ending::Refused(format!("no answer within {} s", CONNECT_WITHIN.as_secs())))
            }
        }
    }

    /// Runs to the end of the connection.
    pub(super) async fn run(&mut self) -> Ending {
        let ending = match self.subscribe().await {
            Ok(()) => self.listen().await,
            Err(ending) => ending,
        };
        // Whatever the other side makes of it: the connection is over for us.
        let _ = timeout(CLOSE_WITHIN, self.socket.close(None)).await;
        ending
    }

    async fn subscribe(&mut self) -> Result<(), Ending> {
        for symbol in &self.client.options.symbols {
            let request = finnhub::subscribe_request(symbol);
            if let Err(error) = self.socket.feed(Message::text(request)).await {
                return Err(self.broken(&error));
            }
        }
        if let Err(error) = self.socket.flush().await {
            return Err(self.broken(&error));
        }
        let symbols = self.client.options.symbols.clone();
        feed::subscribed(self.client.feed_name(), symbols.len());
        self.client.tell(Happening::Subscribed { symbols }).await
    }

    async fn listen(&mut self) -> Ending {
        let mut heartbeat = self.heartbeat();
        loop {
            let silent_at = self.last_heard + self.client.options.silence_after;
            let step = tokio::select! {
                // In this order: after a long wait for the desk, what has arrived meanwhile is read
                // before anyone speaks of silence.
                biased;
                () = self.client.shutdown.requested() => Err(Ending::Stopped),
                () = self.client.options.lease.lost() => Err(Ending::GaveWay),
                _ = heartbeat.tick() => self.client.tell(Happening::Heartbeat).await,
                message = self.socket.next() => self.take(message).await,
                () = sleep_until(silent_at) => Err(self.silent().await),
            };
            if let Err(ending) = step {
                return ending;
            }
        }
    }

    fn heartbeat(&self) -> Interval {
        let every = self.client.options.heartbeat_every;
        let mut heartbeat = interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat
    }

    async fn silent(&mut self) -> Ending {
        let detail = format!(
            "no frame and no ping for {} ms",
            self.client.options.silence_after.as_millis()
        );
        feed::silent(self.client.feed_name(), &detail);
        match self.client.tell(Happening::Silence { detail: detail.clone() }).await {
            Ok(()) => self.hint.take().unwrap_or(Ending::Silent(detail)),
            Err(ending) => ending,
        }
    }

    async fn take(&mut self, message: Option<Result<Message, SocketError>>) -> Result<(), Ending> {
        match message {
            Some(Ok(Message::Text(text))) => self.take_text(&text).await,
            Some(Ok(Message::Binary(bytes))) => {
                self.take_text(&String::from_utf8_lossy(&bytes).as_ref().into()).await
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                self.heard();
                self.client.tell(Happening::Alive).await
            }
            Some(Ok(Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(reason))) => {
                let text = reason.map(|reason| reason.reason.to_string()).unwrap_or_default();
                Err(self.closed(&text))
            }
            Some(Err(error)) => Err(self.broken(&error)),
            None => Err(self.closed("")),
        }
    }

    async fn take_text(&mut self, text: &Utf8Bytes) -> Result<(), Ending> {
        let frame = finnhub::decode(text);
        self.last_heard = Instant::now();
        match &frame {
            Frame::Error { message } => self.take_error(message)?,
            Frame::Trades(_) | Frame::Ping => self.heard(),
            Frame::Malformed { .. } => {}
        }
        self.client.tell(Happening::Frame { raw: text.as_str().to_owned(), frame }).await
    }

    fn heard(&mut self) {
        self.last_heard = Instant::now();
        self.has_worked = true;
    }

    /// Only a wrong key ends the connection at once; the rest explains its end, should it come.
    fn take_error(&mut self, message: &str) -> Result<(), Ending> {
        let message = without_key(message, &self.client.options.key);
        let symbol = symbol_in(&message, &self.client.options.symbols);
        feed::error_message(self.client.feed_name(), symbol, &message);
        match (symbol, Ending::of_text(&message)) {
            (None, Some(ending @ Ending::WrongKey(_))) => Err(ending),
            (None, Some(ending)) => {
                self.hint = Some(ending);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn broken(&mut self, error: &SocketError) -> Ending {
        self.closed(&error.to_string())
    }

    /// The connection is gone; `reason` is the other side's text or the library's.
    fn closed(&mut self, reason: &str) -> Ending {
        let reason = without_key(reason, &self.client.options.key);
        if let Some(ending) = Ending::of_text(&reason).or_else(|| self.hint.take()) {
            return ending;
        }
        let reason = if reason.is_empty() { "closed by the feed".into() } else { reason };
        if !self.has_worked && self.opened.elapsed() < CLOSED_AT_ONCE {
            return Ending::ClosedAtOnce(reason);
        }
        Ending::Closed(reason)
    }
}
