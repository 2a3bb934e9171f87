//! A feed with Finnhub's protocol as far as a producer needs it, at the pace that it is told: it
//! must cost little itself, since it runs on the same cores.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::{Message, Utf8Bytes, WebSocket, accept};

/// A socket that takes nothing for so long is an error of the suite.
const SEND_WITHIN: Duration = Duration::from_secs(60);

/// The server's end of one connection.
pub struct Wire {
    socket: WebSocket<TcpStream>,
}

impl Wire {
    /// Sends a frame, some later when `flush` is not called.
    pub fn write(&mut self, frame: Utf8Bytes) {
        self.socket.write(Message::Text(frame)).expect("the producer reads");
    }

    pub fn flush(&mut self) {
        self.socket.flush().expect("the producer reads");
    }
}

/// Waits for one client, and sends it what it is told.
pub struct Feed {
    pub url: String,
    began: mpsc::Receiver<Instant>,
    /// Dropped to let the connection end.
    _hold: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// `send` is called when the client has asked for so many symbols.
    pub fn start(symbols: usize, send: impl FnOnce(&mut Wire) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("ws://{}", listener.local_addr().expect("an address"));
        let (begin, began) = mpsc::channel();
        let (hold, held) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            stream.set_nodelay(true).expect("a socket");
            stream.set_write_timeout(Some(SEND_WITHIN)).expect("a socket");
            let mut wire = Wire { socket: accept(stream).expect("a WebSocket") };
            for _ in 0..symbols {
                wire.socket.read().expect("a subscription");
            }
            let _ = begin.send(Instant::now());
            send(&mut wire);
            wire.flush();
            // Open until nobody needs it any more: its end would be a gap of the feed.
            let _ = held.recv();
        });
        Self { url, began, _hold: hold, thread: Some(thread) }
    }

    /// When the first frame was sent; waits for it.
    pub fn await_begin(&self) -> Instant {
        self.began.recv_timeout(SEND_WITHIN).expect("the producer subscribes")
    }

    /// Waits until everything was sent.
    pub fn end(mut self) {
        let thread = self.thread.take();
        drop(self);
        thread.into_iter().for_each(|thread| thread.join().expect("the feed ends well"));
    }
}
