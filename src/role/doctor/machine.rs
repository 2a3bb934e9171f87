//! What this machine gives: room for the spool, and the ports of the pages.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::check::Finding;
use super::{Patient, Tell};
use crate::config::Config;
use crate::http::probe::{self, Answer};
use crate::role::producer::spool_directory;
use crate::role::status::own_address;
use crate::runtime;

const SPOOL: &str = "spool";
const STREAM_PORT: &str = "stream port";
const PRODUCER_PORT: &str = "producer port";
const API_PORT: &str = "api port";
pub(super) const CHECKS: [&str; 4] = [SPOOL, STREAM_PORT, PRODUCER_PORT, API_PORT];

pub(super) fn check(patient: &Patient, tell: &mut Tell<'_>) {
    let config = &patient.config;
    tell(spool(&spool_directory(config), config.producer.spool_max_mib));
    let ports = [
        (STREAM_PORT, config.stream.http_port, "stream.http_port"),
        (PRODUCER_PORT, config.producer.http_port, "producer.http_port"),
        (API_PORT, config.http.port, "http.port"),
    ];
    for (check, port, key) in ports {
        tell(port_finding(check, config, port, key));
    }
}

fn spool(directory: &Path, max_mib: u64) -> Finding {
    let shown = directory.display();
    let Some(existing) = existing_ancestor(directory) else {
        let text = format!("{shown} cannot be made; set producer.spool_dir to a writable place");
        return Finding::fail(SPOOL, text);
    };
    if !runtime::is_writable(&existing) {
        return Finding::fail(
            SPOOL,
            format!("{} is not writable for this user; set producer.spool_dir", existing.display()),
        );
    }
    let waiting_mib = bytes_in(directory) >> 20;
    let Some(free) = runtime::free_bytes(&existing) else {
        return Finding::skip(SPOOL, format!("{shown}: its file system does not tell its room"));
    };
    let free_mib = free >> 20;
    let text = format!("{shown} holds {waiting_mib} of {max_mib} MiB, {free_mib} MiB are free");
    if waiting_mib + free_mib >= max_mib {
        return Finding::ok(SPOOL, text);
    }
    Finding::warn(
        SPOOL,
        format!(
            "{text}: the disk is full before producer.spool_max_mib is; make room, or lower it"
        ),
    )
}

/// The directory, or the one that it would be made in.
fn existing_ancestor(directory: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(directory).ok()?;
    absolute.ancestors().find(|path| path.is_dir()).map(Path::to_path_buf)
}

/// Of the files right inside; 0 where there is none.
fn bytes_in(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

fn port_finding(check: &'static str, config: &Config, port: u16, key: &str) -> Finding {
    let Some(address) = own_address(&config.http, port) else {
        return Finding::ok(check, format!("{key} = 0: any free port"));
    };
    match probe::ask_ready(&address) {
        Answer::Ready => Finding::ok(check, format!("a process at {address} is ready")),
        Answer::NotReady(reason) => {
            Finding::warn(check, format!("the process at {address} is not ready: {reason}"))
        }
        Answer::Silent => Finding::fail(
            check,
            format!("whoever listens at {address} does not answer: paused, or hangs; restart it"),
        ),
        Answer::Foreign(what) => Finding::fail(
            check,
            format!("another program has {address} (it answers {what}); choose another {key}"),
        ),
        Answer::Absent(_) => could_listen(check, &config.http.bind, port, key),
    }
}

fn could_listen(check: &'static str, bind: &str, port: u16, key: &str) -> Finding {
    let refused = |why: String| Finding::fail(check, format!("{why}; choose another {key}"));
    match TcpListener::bind((bind, port)) {
        Ok(_) => Finding::ok(check, format!("{bind}:{port} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            refused(format!("another program has port {port}"))
        }
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            Finding::fail(check, format!("{bind} is no address of this machine; set http.bind"))
        }
        Err(error) => refused(format!("cannot listen on {bind}:{port}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::role::doctor::check::Outcome;

    #[test]
    fn a_spool_that_does_not_exist_yet_is_judged_by_where_it_will_be() {
        let directory = tempfile::tempdir().expect("a directory");
        let spool_at = |path: &str, max_mib| spool(&directory.path().join(path), max_mib);
        let new = spool_at("not/yet", 1);
        assert_eq!(new.outcome, Outcome::Ok, "{new:?}");
        assert!(new.text.contains("holds 0 of 1 MiB"), "{new:?}");
        assert!(!directory.path().join("not").exists(), "nothing is made");
        assert_eq!(spool_at(".", u64::MAX >> 21).outcome, Outcome::Warn);
        std::fs::write(directory.path().join("segment"), vec![0; 3 << 20]).expect("written");
        assert!(spool_at(".", 64).text.contains("holds 3 of 64 MiB"));
    }

    #[test]
    fn a_port_is_free_or_its_owner_is_told() {
        let mut config = Config::defaults();
        let finding = |config: &Config, port| port_finding(STREAM_PORT, config, port, "x.port");
        assert!(finding(&config, 0).text.contains("any free port"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a client");
            let _ = socket.write_all(b"220 mail\r\n");
        });
        let taken = finding(&config, port);
        server.join().expect("it does not panic");
        assert!(taken.is_failure() && taken.text.contains("choose another x.port"), "{taken:?}");
        assert_eq!(finding(&config, port).outcome, Outcome::Ok, "it is free by now");
        config.http.bind = "192.0.2.1".into();
        let elsewhere = could_listen(STREAM_PORT, &config.http.bind, port, "x.port");
        assert!(elsewhere.text.contains("no address of this machine"), "{elsewhere:?}");
    }
}
