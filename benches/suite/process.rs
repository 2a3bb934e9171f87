//! A `ticksmith` that runs until it is stopped, and what it says over HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Killed on drop, unless it was stopped.
pub struct Running {
    child: Child,
    /// Where it serves health and metrics.
    pub address: String,
    pub began: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts it on a free port, of which `port_key` is the setting.
    pub fn start(mut command: Command, port_key: &str) -> Self {
        let address = free_address();
        let port = address.rsplit(':').next().expect("a port").to_owned();
        let began = Instant::now();
        let command = command.stdout(Stdio::null()).env(format!("TICKSMITH__{port_key}"), port);
        let child = command.spawn().expect("the binary starts");
        Self { child, address, began }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says that it is ready; the time since its start, s.
    pub fn await_ready(&mut self) -> f64 {
        while !self.get("/readyz").starts_with("HTTP/1.1 200") {
            assert!(self.child.try_wait().expect("ours").is_none(), "it ended by itself");
            let waited = self.began.elapsed();
            assert!(waited < PATIENCE, "not ready: {}", self.get("/readyz"));
            std::thread::sleep(Duration::from_millis(2));
        }
        self.began.elapsed().as_secs_f64()
    }

    /// A metric without labels; 0 while it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        metric_in(&self.get("/metrics"), name)
    }

    /// SIGTERM, and the end.
    pub fn stop(mut self) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: `kill` takes two integers; the child is ours and not yet waited for.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        assert!(self.child.wait().expect("it ends").success(), "a clean stop");
    }

    /// The answer with its head; empty while nobody listens.
    pub fn get(&self, path: &str) -> String {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&self.address)?;
            let host = &self.address;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().unwrap_or_default()
    }
}

/// A metric without labels in Prometheus' text.
pub fn metric_in(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |number| number.parse().expect("a number"))
}

/// One that was free a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").to_string()
}
