//! The way between Kafka and single processes: it can be cut, fall silent, or stop at a certain
//! request. Processes are told apart by their `client.id`.
//!
//! Kafka has a listener for it that advertises our port as its own (scripts/infra/kafka.sh), so a
//! client that begins here stays here.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use super::{eventually, server};

/// The request that commits or aborts a transaction, by its number in Kafka's protocol: everything
/// of the transaction was written before.
pub const END_TXN: i16 = 26;

/// One process' line to the broker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Line(&'static str);

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Nothing comes through, and nobody is told; it arrives when the line is mended.
    Silent,
    /// Connections are closed, and new ones as well.
    Cut,
}

#[derive(Default)]
struct Wires {
    state: State,
    /// Requests of this kind stop here.
    stop_before: Option<i16>,
    /// One has come.
    stopped: bool,
    connections: Vec<[TcpStream; 2]>,
}

#[derive(Default)]
struct Network {
    lines: Mutex<HashMap<String, Wires>>,
    changed: Condvar,
}

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let address = server("TICKSMITH_TEST_KAFKA_PROXY");
    let listener = TcpListener::bind(&address).expect("the port is kept free for us");
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // A connection that breaks is what this is for.
            std::thread::spawn(move || join(client).ok());
        }
    });
    Network::default()
});

impl Line {
    /// `client_id` belongs to one process of one test.
    pub fn of(client_id: &'static str) -> Self {
        LazyLock::force(&NETWORK);
        Self(client_id)
    }

    /// Settings that put a process on this line.
    pub fn settings(self) -> [(&'static str, String); 2] {
        let address = server("TICKSMITH_TEST_KAFKA_PROXY");
        [("KAFKA__BOOTSTRAP", address), ("KAFKA__PROPERTIES", format!("client.id={}", self.0))]
    }

    pub fn silence(self) {
        self.change(|wires| wires.state = State::Silent);
    }

    pub fn cut(self) {
        self.change(|wires| {
            wires.state = State::Cut;
            assert!(!wires.connections.is_empty(), "no connection of {} to cut", self.0);
            wires.hang_up();
        });
    }

    pub fn mend(self) {
        self.change(|wires| wires.state = State::Open);
    }

    /// Waits until the process sends a request of this kind, which is held back.
    pub fn stop_before(self, request: i16) {
        self.change(|wires| wires.stop_before = Some(request));
        eventually(&format!("{} sends request {request}", self.0), || {
            let stopped = NETWORK.lock().get(self.0).is_some_and(|wires| wires.stopped);
            if stopped { Ok(()) } else { Err("it has not yet".into()) }
        });
    }

    /// What was held back goes on its way.
    pub fn let_go(self) {
        self.change(|wires| (wires.stop_before, wires.stopped) = (None, false));
    }

    /// What was held back is lost, and its connection with it.
    pub fn lose(self) {
        self.change(|wires| {
            wires.state = State::Cut;
            wires.hang_up();
        });
        self.change(|wires| *wires = Wires::default());
    }

    fn change(self, change: impl FnOnce(&mut Wires)) {
        change(NETWORK.lock().entry(self.0.to_owned()).or_default());
        NETWORK.changed.notify_all();
    }
}

impl Wires {
    fn hang_up(&mut self) {
        for end in self.connections.drain(..).flatten() {
            // It may have closed by itself.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Network {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Wires>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as the line of `client` demands it.
    fn pass(&self, client: &str, request: Option<i16>) -> Result<()> {
        let mut lines = self.lock();
        loop {
            let wires = lines.entry(client.to_owned()).or_default();
            let is_stopped = request.is_some() && wires.stop_before == request;
            wires.stopped |= is_stopped;
            match wires.state {
                State::Cut => return Err(ErrorKind::ConnectionAborted.into()),
                State::Open if !is_stopped => return Ok(()),
                State::Open | State::Silent => {}
            }
            lines = self.changed.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Length, then the request: its kind, version and number, and the client's id.
fn read_request(client: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut request = length.to_vec();
    request.resize(4 + u32::from_be_bytes(length) as usize, 0);
    client.read_exact(&mut request[4..])?;
    Ok(request)
}

fn number_at(request: &[u8], position: usize) -> Result<i16> {
    let bytes = request.get(position..position + 2).and_then(|bytes| bytes.try_into().ok());
    bytes.map(i16::from_be_bytes).ok_or_else(|| Error::other("no Kafka request"))
}

fn client_id(request: &[u8]) -> Result<String> {
    let length = usize::try_from(number_at(request, 12)?).map_err(Error::other)?;
    let id = request.get(14..14 + length).ok_or_else(|| Error::other("no Kafka request"))?;
    Ok(String::from_utf8_lossy(id).into_owned())
}

/// Copies both ways until either end closes or the line is cut.
fn join(mut client: TcpStream) -> Result<()> {
    let mut request = read_request(&mut client)?;
    let name = client_id(&request)?;
    NETWORK.pass(&name, None)?;
    let mut broker = TcpStream::connect(server("TICKSMITH_TEST_KAFKA_PROXIED"))?;
    let ends = [client.try_clone()?, broker.try_clone()?];
    let [to_client, from_broker] = [client.try_clone()?, broker.try_clone()?];
    NETWORK.lock().entry(name.clone()).or_default().connections.push(ends);
    let back = {
        let name = name.clone();
        std::thread::spawn(move || answer(from_broker, to_client, &name))
    };
    let asked = loop {
        let passed = number_at(&request, 4).and_then(|kind| NETWORK.pass(&name, Some(kind)));
        let sent = passed.and_then(|()| broker.write_all(&request));
        match sent.and_then(|()| read_request(&mut client)) {
            Ok(next) => request = next,
            Err(over) => break Err(over),
        }
    };
    // Wakes the other direction too.
    let _ = (client.shutdown(Shutdown::Both), broker.shutdown(Shutdown::Both));
    back.join().expect("copying does not panic").and(asked)
}

fn answer(mut broker: TcpStream, mut client: TcpStream, name: &str) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = broker.read(&mut buffer)?;
        NETWORK.pass(name, None)?;
        if length == 0 {
            return client.shutdown(Shutdown::Both);
        }
        client.write_all(&buffer[..length])?;
    }
}
