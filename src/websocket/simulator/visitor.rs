//! One client of the simulator: let in by its key, told what it may not have, served what it asked
//! for.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Interval, interval_at, timeout};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::Server;
use super::fault::{Delivery, Faults};
use super::framing::Framer;
use super::hub::Batch;
use super::keys::{KeyInUse, Keys};
use super::plain::Page;
use crate::codec::finnhub;
use crate::websocket::address::percent_decoded;

type Socket = WebSocketStream<TcpStream>;

/// How serving a client ended.
enum Leave {
    /// With a close frame that says so.
    Politely(&'static str),
    /// The socket is just dropped.
    Abruptly,
}

/// Serves one TCP connection to its end.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream) {
    // Small frames must not wait for each other; a failure costs only speed.
    let _ = stream.set_nodelay(true);
    if let Ok(Some(page)) = timeout(super::HANDSHAKE_WITHIN, Page::asked_of(&stream)).await {
        // Whoever asked may be gone again.
        let _ = timeout(super::HANDSHAKE_WITHIN, page.send(stream)).await;
        return;
    }
    let Ok(Ok((mut socket, key))) =
        timeout(super::HANDSHAKE_WITHIN, upgrade(&server.keys, stream)).await
    else {
        return;
    };
    let Some(key) = server.keys.take(&key).await else {
        tracing::info!("a second connection on one key: both are dropped");
        close(&mut socket, "token already in use").await;
        return;
    };
    let (id, batches) = server.hub.join();
    let mut visitor = Visitor::new(server.clone(), id, socket, key);
    let leave = visitor.run(batches).await;
    server.hub.leave(id);
    // Whoever sees this connection end may come again at once: its key is free by then.
    let Visitor { mut socket, key, .. } = visitor;
    drop(key);
    if let Ok(Leave::Politely(reason)) = leave {
        close(&mut socket, reason).await;
    }
}

/// The upgrade, with 401 for a key that is not known.
async fn upgrade(keys: &Keys, stream: TcpStream) -> Result<(Socket, String), SocketError> {
    let mut given = String::new();
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let callback = |request: &Request, response: Response| {
        given = token(request.uri().query().unwrap_or_default());
        if keys.knows(&given) { Ok(response) } else { Err(unauthorized()) }
    };
    let socket = accept_hdr_async(stream, callback).await?;
    Ok((socket, given))
}

fn unauthorized() -> ErrorResponse {
    let mut response = ErrorResponse::new(Some("Invalid API key".into()));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

fn token(query: &str) -> String {
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token="));
    percent_decoded(token.unwrap_or_default())
}

async fn close(socket: &mut Socket, reason: &'static str) {
    let frame = CloseFrame { code: CloseCode::Policy, reason: reason.into() };
    // The other side may be gone already, which is just as well.
    let _ = timeout(super::CLOSE_WITHIN, async {
        let _ = socket.close(Some(frame)).await;
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
}

struct Visitor {
    server: Arc<Server>,
    id: u64,
    socket: Socket,
    key: KeyInUse,
    wanted: Vec<bool>,
    framer: Framer,
    faults: Faults,
    is_silent: bool,
}

impl Visitor {
    fn new(server: Arc<Server>, id: u64, socket: Socket, key: KeyInUse) -> Self {
        let options = &server.options;
        let symbols = &server.universe.symbols;
        let seed = options.seed.wrapping_add(id);
        Self {
            wanted: vec![false; symbols.len()],
            framer: Framer::new(symbols, options.repeats, seed),
            faults: Faults::new(options.fault, options.fault_timing),
            is_silent: false,
            server,
            id,
            socket,
            key,
        }
    }

    async fn run(&mut self, mut batches: mpsc::Receiver<Batch>) -> Result<Leave, SocketError> {
        let mut pings = self.pings();
        loop {
            tokio::select! {
                () = self.server.shutdown.requested() => return Ok(Leave::Politely("going away")),
                () = self.key.evicted() => return Ok(Leave::Abruptly),
                _ = pings.tick() => {
                    if !self.is_silent {
                        self.socket.send(Message::text(finnhub::PING)).await?;
                    }
                }
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.answer(&text).await?,
                    Some(Ok(Message::Close(_))) | None => return Ok(Leave::Abruptly),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                },
                batch = batches.recv(), if !self.is_silent => match batch {
                    Some(Batch::End) => return Ok(Leave::Politely("end of the recording")),
                    Some(batch) => {
                        if let Some(leave) = self.deliver(batch).await? {
                            return Ok(leave);
                        }
                    }
                    // The hub has given this client up.
                    None => return Ok(Leave::Abruptly),
                },
            }
        }
    }

    fn pings(&self) -> Interval {
        let every = self.server.options.ping_every;
        interval_at(tokio::time::Instant::now() + every, every)
    }

    async fn answer(&mut self, text: &str) -> Result<(), SocketError> {
        let complaint = match finnhub::decode_request(text) {
            Some(finnhub::Request::Subscribe(symbol)) => self.subscribe(&symbol),
            Some(finnhub::Request::Unsubscribe(symbol)) => {
                if let Some(index) = self.server.universe.index_of(&symbol) {
                    self.want(index, false);
                }
                None
            }
            None => None,
        };
        match complaint {
            Some(complaint) if !self.is_silent => {
                self.socket.send(Message::text(finnhub::error_message(&complaint))).await
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with the request, if anything.
    fn subscribe(&mut self, symbol: &str) -> Option<String> {
        let Some(index) = self.server.universe.index_of(symbol) else {
            return Some(format!("Invalid symbol {symbol}"));
        };
        let held = self.wanted.iter().filter(|wanted| **wanted).count();
        if !self.wanted[index] && held >= self.server.options.symbols_per_key {
            return Some("Subscribing to too many symbols".into());
        }
        self.want(index, true);
        None
    }

    fn want(&mut self, index: usize, wanted: bool) {
        self.wanted[index] = wanted;
        if !self.is_silent {
            self.server.hub.want(self.id, &self.wanted);
        }
    }

    async fn deliver(&mut self, batch: Batch) -> Result<Option<Leave>, SocketError> {
        let mut frames = Vec::new();
        match batch {
            Batch::Prints(prints) => {
                let wanted = prints.iter().filter(|print| self.wanted[print.symbol]);
                let prints: Vec<_> = wanted.copied().collect();
                self.framer.frames(&prints, &mut frames);
            }
            Batch::Line(line) => {
                let universe = &self.server.universe;
                let wants =
                    |symbol: &str| universe.index_of(symbol).is_none_or(|index| self.wanted[index]);
                frames.extend(line.for_client(wants));
            }
            Batch::End => {}
        }
        for (frame, elements) in frames {
            match self.faults.next(elements) {
                Delivery::DropConnection => {
                    // What came before the fault was sent.
                    self.socket.flush().await?;
                    return Ok(Some(Leave::Abruptly));
                }
                Delivery::GoSilent => {
                    self.is_silent = true;
                    self.server.hub.leave(self.id);
                    break;
                }
                Delivery::Send { times, before } => self.send(frame, times, before).await?,
            }
        }
        self.socket.flush().await?;
        Ok(None)
    }

    async fn send(
        &mut self,
        frame: String,
        times: usize,
        before: Option<&'static str>,
    ) -> Result<(), SocketError> {
        if let Some(before) = before {
            self.socket.feed(Message::text(before)).await?;
        }
        for _ in 1..times {
            self.socket.feed(Message::text(frame.clone())).await?;
        }
        self.socket.feed(Message::text(frame)).await
    }
}
