//! A wire between a client and a server that can be cut: connections of one key are closed, and new
//! ones of it are refused, until it is mended. Or it becomes slow, for all that the client sends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What one key's wire is doing.
#[derive(Default)]
struct Wires {
    /// The part of the first request that names a cut key.
    cut: Option<String>,
    /// The first request of each connection, and both its ends.
    connected: Vec<(String, [TcpStream; 2])>,
}

/// A slow wire takes so much at once.
const CHUNK_BYTES: u64 = 2_048;
/// A wire that carries nothing looks again after this.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What all connections together may send, B/s.
#[derive(Default)]
struct Speed {
    bytes_per_s: AtomicU64,
    /// Taken by whoever sends.
    turn: Mutex<()>,
}

impl Speed {
    /// How much to read for the next write.
    fn chunk_bytes(&self) -> usize {
        let is_free = self.bytes_per_s.load(Ordering::Relaxed) == u64::MAX;
        if is_free { 65_536 } else { CHUNK_BYTES as usize }
    }

    /// Lets the time pass that so many bytes take.
    fn pass(&self, bytes: usize) {
        loop {
            match self.bytes_per_s.load(Ordering::Relaxed) {
                u64::MAX => return,
                0 => std::thread::sleep(LOOK_EVERY),
                bytes_per_s => {
                    let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
                    let us = bytes as u64 * 1_000_000 / bytes_per_s;
                    return std::thread::sleep(Duration::from_micros(us));
                }
            }
        }
    }
}

/// Listens on a port of its own until the test's process ends.
pub struct Proxy {
    pub address: String,
    wires: Arc<Mutex<Wires>>,
    speed: Arc<Speed>,
}

impl Proxy {
    /// In front of `server`, `HOST:PORT`.
    pub fn start(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (server, wires) = (server.to_owned(), Arc::<Mutex<Wires>>::default());
        let shared = Arc::clone(&wires);
        let speed = Arc::<Speed>::default();
        speed.bytes_per_s.store(u64::MAX, Ordering::Relaxed);
        let shared_speed = Arc::clone(&speed);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, wires) = (server.clone(), Arc::clone(&shared));
                let speed = Arc::clone(&shared_speed);
                // A connection that breaks is what this is for.
                std::thread::spawn(move || join(client, &server, &wires, &speed).ok());
            }
        });
        Self { address, wires, speed }
    }

    /// From now on all clients together send at most so much; 0: nothing gets through.
    pub fn slow_down(&self, bytes_per_s: u64) {
        self.speed.bytes_per_s.store(bytes_per_s, Ordering::Relaxed);
    }

    /// Everything passes as it comes.
    pub fn speed_up(&self) {
        self.slow_down(u64::MAX);
    }

    /// Closes every connection whose request holds `key`, and refuses new ones.
    pub fn cut(&self, key: &str) {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        wires.cut = Some(key.to_owned());
        let before = wires.connected.len();
        wires.connected.retain(|(request, ends)| {
            let is_cut = request.contains(key);
            if is_cut {
                ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
            }
            !is_cut
        });
        assert!(wires.connected.len() < before, "no connection of {key} to cut");
    }

    pub fn mend(&self) {
        self.wires.lock().unwrap_or_else(PoisonError::into_inner).cut = None;
    }
}

/// Copies both ways until either end closes; one that is cut is closed unanswered.
fn join(
    mut client: TcpStream,
    server: &str,
    wires: &Mutex<Wires>,
    speed: &Speed,
) -> std::io::Result<()> {
    let mut first = [0; 4_096];
    let length = client.read(&mut first)?;
    let request = String::from_utf8_lossy(&first[..length]).into_owned();
    let mut server = TcpStream::connect(server)?;
    {
        let mut wires = wires.lock().unwrap_or_else(PoisonError::into_inner);
        if wires.cut.as_ref().is_some_and(|key| request.contains(key)) {
            return Ok(());
        }
        wires.connected.push((request, [client.try_clone()?, server.try_clone()?]));
    }
    server.write_all(&first[..length])?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let back = std::thread::spawn(move || {
        // Either end may go first.
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let copied = copy(&mut client, &mut server, speed);
    let _ = server.shutdown(Shutdown::Both);
    back.join().expect("copying does not panic");
    copied
}

fn copy(from: &mut TcpStream, to: &mut TcpStream, speed: &Speed) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let length = from.read(&mut buffer[..speed.chunk_bytes()])?;
        if length == 0 {
            return Ok(());
        }
        speed.pass(length);
        to.write_all(&buffer[..length])?;
    }
}
