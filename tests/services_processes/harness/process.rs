//! A process of the real binary: what it says is kept, and it never outlives its test.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::eventually;

type Lines = Arc<Mutex<Vec<String>>>;

/// A running process.
pub struct Process {
    name: String,
    child: Child,
    said: Lines,
    answered: Lines,
    listeners: Vec<JoinHandle<()>>,
}

/// How a process ended, and all that it said.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// Both streams together.
    pub said: String,
    /// Standard output alone: what a script would read.
    pub answer: String,
}

impl Ended {
    /// Exit code, or minus the signal that ended it.
    pub fn code(&self) -> i32 {
        self.status.code().or(self.status.signal().map(|signal| -signal)).unwrap_or(i32::MIN)
    }

    /// The answer, of a command that was asked for JSON.
    pub fn json(&self) -> serde_json::Value {
        let parsed = serde_json::from_str(&self.answer);
        parsed.unwrap_or_else(|error| panic!("{error}:\n{}", self.said))
    }
}

impl Process {
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}: {command:?}"));
        let (said, answered) = (Lines::default(), Lines::default());
        let both = vec![Arc::clone(&said), Arc::clone(&answered)];
        let out = listen(child.stdout.take().expect("stdout is piped"), both);
        let err = listen(child.stderr.take().expect("stderr is piped"), vec![Arc::clone(&said)]);
        Self { name: name.to_owned(), child, said, answered, listeners: vec![out, err] }
    }

    /// Everything said so far, both streams together.
    pub fn said(&self) -> String {
        text_of(&self.said)
    }

    /// Waits for what `find` makes of the output.
    pub fn wait_for<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let name = self.name.clone();
        eventually(&format!("{name} says {what}"), || {
            let ended = self.child.try_wait().expect("the process is ours");
            let said = self.said();
            match (find(&said), ended) {
                (Some(found), _) => Ok(found),
                (None, Some(status)) => panic!("{name} ended ({status}) without {what}:\n{said}"),
                (None, None) => Err(said),
            }
        })
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the process is ours").is_none()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let name = self.name.clone();
        let status = eventually(&format!("{name} ends"), || {
            self.child.try_wait().expect("the process is ours").ok_or_else(|| self.said())
        });
        for listener in self.listeners.drain(..) {
            listener.join().expect("listeners do not panic");
        }
        Ended { status, said: self.said(), answer: text_of(&self.answered) }
    }

    /// Asks it to stop, as an operator would, and waits.
    pub fn terminate(self) -> Ended {
        self.signal(libc::SIGTERM);
        self.wait()
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(self) -> Ended {
        self.signal(libc::SIGKILL);
        self.wait()
    }

    /// Stops its clock, as a suspended machine would.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("pids fit");
        // SAFETY: `kill` takes two integers; the child is ours and not yet waited for, so the pid
        // is still its own.
        unsafe { libc::kill(pid, signal) };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; that is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}", self.name, last_lines(&self.said()));
        }
    }
}

fn last_lines(text: &str) -> String {
    const SHOWN: usize = 40;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

fn text_of(lines: &Lines) -> String {
    lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
}

fn listen(stream: impl Read + Send + 'static, heard_by: Vec<Lines>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            for lines in &heard_by {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
            }
        }
    })
}
