//! A wire between a client and a server that can be cut: connections of one key are closed, and new
//! ones of it are refused, until it is mended.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// What one key's wire is doing.
#[derive(Default)]
struct Wires {
    /// The part of the first request that names a cut key.
    cut: Option<String>,
    /// The first request of each connection, and both its ends.
    connected: Vec<(String, [TcpStream; 2])>,
}

/// Listens on a port of its own until the test's process ends.
pub struct Proxy {
    pub address: String,
    wires: Arc<Mutex<Wires>>,
}

impl Proxy {
    /// In front of `server`, `HOST:PORT`.
    pub fn start(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (server, wires) = (server.to_owned(), Arc::<Mutex<Wires>>::default());
        let shared = Arc::clone(&wires);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, wires) = (server.clone(), Arc::clone(&shared));
                // A connection that breaks is what this is for.
                std::thread::spawn(move || join(client, &server, &wires).ok());
            }
        });
        Self { address, wires }
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
fn join(mut client: TcpStream, server: &str, wires: &Mutex<Wires>) -> std::io::Result<()> {
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
    let copied = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Both);
    back.join().expect("copying does not panic");
    copied.map(drop)
}
