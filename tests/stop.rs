//! A stop at any moment, from the first millisecond on: exit code 0 within the drain deadline, 130
//! at once after a second signal, and nothing of it needs a server.

#[path = "process/mod.rs"]
mod process;

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use process::{Up, ticksmith};

/// Nobody listens there: the port is one that programs do not get.
const NOBODY: &str = "127.0.0.1:1";
/// Far beyond every deadline here; only a hang is caught by it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What runs until it is stopped, with everything around it absent.
fn services(case: &str) -> Vec<(&'static str, Command)> {
    // One producer holds it, and cases run side by side.
    let spool = format!("{}/stop-{case}", env!("CARGO_TARGET_TMPDIR"));
    let cases: [&[&str]; 4] = [
        &["up", "--port", "0", "--symbols", "AAPL", "--rate", "20", "--history", "1m"],
        &["simulate", "--port", "0"],
        &["producer", "--url", "ws://127.0.0.1:1", "--symbols", "AAPL"],
        &["stream"],
    ];
    let absent = [
        ("TICKSMITH__KAFKA__BOOTSTRAP", NOBODY),
        ("TICKSMITH__CASSANDRA__CONTACT_POINTS", NOBODY),
        ("TICKSMITH__STREAM__HTTP_PORT", "0"),
        ("TICKSMITH__PRODUCER__HTTP_PORT", "0"),
        // Cassandra is not asked for, so that the stream gets to wait for Kafka.
        ("TICKSMITH__STREAM__STORE", "none"),
        ("TICKSMITH__PRODUCER__SPOOL_DIR", spool.as_str()),
    ];
    let prepare = |arguments: &&'static [&'static str]| {
        let mut command = ticksmith(arguments);
        command.envs(absent).stdout(Stdio::null()).stderr(Stdio::null());
        (arguments[0], command)
    };
    cases.iter().map(prepare).collect()
}

fn send(child: &Child, signal: i32) {
    let pid = i32::try_from(child.id()).expect("a process id");
    // SAFETY: takes two integers; the child is ours and not waited for yet, so the pid is its own.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Waits for the end; a process that hangs is killed and told.
fn end_of(child: &mut Child, what: &str) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("ours") {
            return status;
        }
        if began.elapsed() > PATIENCE {
            child.kill().expect("ours");
            panic!("{what}: still there after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the process has come to the first line of its main: both signals are blocked there.
#[cfg(target_os = "linux")]
fn holds_signals(child: &Child) -> bool {
    const INT_AND_TERM: u64 = 1 << (libc::SIGINT - 1) | 1 << (libc::SIGTERM - 1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.expect("the process is not waited for yet");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap_or("0");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("hexadecimal");
    mask & INT_AND_TERM == INT_AND_TERM
}

/// Milliseconds after the first line of main.
#[cfg(target_os = "linux")]
#[test]
fn a_stop_in_the_first_milliseconds_is_a_clean_one() {
    for (name, mut command) in services("first") {
        for (round, wait_ms) in [0, 0, 1, 2, 3, 5, 8, 13, 21, 34, 50, 80].into_iter().enumerate() {
            let signal = if round % 2 == 0 { libc::SIGTERM } else { libc::SIGINT };
            let mut child = command.spawn().expect("the binary starts");
            while !holds_signals(&child) {
                assert_eq!(child.try_wait().expect("ours"), None, "{name} ended by itself");
            }
            std::thread::sleep(Duration::from_millis(wait_ms));
            send(&child, signal);
            let status = end_of(&mut child, name);
            assert_eq!(status.code(), Some(0), "{name}, signal {signal} after {wait_ms} ms");
        }
    }
}

/// Before main nothing of ours runs, and nothing has begun: the system ends it then.
#[test]
fn a_stop_right_after_exec_is_clean_or_comes_before_anything_of_ours() {
    for (name, mut command) in services("exec") {
        for _ in 0..5 {
            let mut child = command.spawn().expect("the binary starts");
            send(&child, libc::SIGTERM);
            let status = end_of(&mut child, name);
            let is_unborn = status.signal() == Some(libc::SIGTERM);
            assert!(status.code() == Some(0) || is_unborn, "{name}: {status}");
        }
    }
}

/// Kafka is tried for five seconds; a stop meanwhile is none of Kafka's business.
#[test]
fn a_stop_while_a_server_is_looked_for_is_a_clean_one() {
    for (name, mut command) in services("search") {
        let mut child = command.spawn().expect("the binary starts");
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(child.try_wait().expect("ours"), None, "{name} ended by itself");
        send(&child, libc::SIGINT);
        let status = end_of(&mut child, name);
        assert_eq!(status.code(), Some(0), "{name}: {status}");
    }
}

#[test]
fn what_has_nothing_to_drain_is_ended_by_the_signal_itself() {
    let endless = ["verify", "--frames", "/dev/stdin", "--bars", "/dev/stdin", "--interval", "5m"];
    let mut command = ticksmith(&endless);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary starts");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(child.try_wait().expect("ours"), None, "it waits for its input");
    send(&child, libc::SIGTERM);
    assert_eq!(end_of(&mut child, "verify").signal(), Some(libc::SIGTERM));
}

const SMALL: [&str; 6] = ["--symbols", "AAPL,BINANCE:BTCUSDT", "--rate", "60", "--history", "1m"];

#[test]
fn a_second_signal_ends_it_at_once() {
    let up = Up::start(&SMALL);
    up.signal(libc::SIGINT);
    up.signal(libc::SIGTERM);
    assert_eq!(up.wait().0.code(), Some(130));
}

/// The file is held by somebody else, so the last beat cannot be written: it is given up.
#[test]
fn a_store_that_does_not_answer_does_not_keep_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_str().expect("text");
    let up = Up::start(&[&SMALL[..], &["--data", data]].concat());
    up.wait_for("/api/v1/state", |state| state["counts"]["merged"].as_i64() > Some(100));
    let file = std::fs::read_dir(directory.path()).expect("readable").flatten();
    let file = file.map(|entry| entry.path()).find(|path| path.extension().is_some());
    let holder = rusqlite::Connection::open(file.expect("the file")).expect("opened");
    holder.execute_batch("PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE").expect("held");
    up.signal(libc::SIGTERM);
    let asked = Instant::now();
    let (status, said) = up.wait();
    assert!(status.success(), "{status}: {said:?}");
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    drop(holder);
    let again = Up::start(&[&SMALL[..], &["--data", data]].concat());
    again.wait_for("/api/v1/state", |state| state["counts"]["merged"].as_i64() > Some(200));
    again.signal(libc::SIGTERM);
    assert!(again.wait().0.success());
}
