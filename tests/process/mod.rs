//! A running `ticksmith up` or `serve`: the real binary, told apart by the free port that it took.

// Each test file is a crate of its own and uses what it needs.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// Killed on drop.
pub struct Up {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub url: String,
    /// What it said up to the line of the address.
    pub said: Vec<String>,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, or another build of it that TICKSMITH_BIN names, with an environment that holds no
/// key and no settings.
pub fn ticksmith(arguments: &[&str]) -> Command {
    let program = std::env::var_os("TICKSMITH_BIN");
    let mut command = Command::new(program.unwrap_or(env!("CARGO_BIN_EXE_ticksmith").into()));
    // No .env of the repository's own either.
    let place = env!("CARGO_TARGET_TMPDIR");
    command.args(arguments).env_clear().env("TMPDIR", place).current_dir(place);
    command
}

impl Up {
    /// Starts `up`, on a free port unless one is named, and waits until it has said where.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same with variables of the environment.
    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_command("up", arguments, environment)
    }

    /// Starts `serve` in the same way.
    pub fn serve(arguments: &[&str]) -> Self {
        Self::start_command("serve", arguments, &[])
    }

    fn start_command(command: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let any_port: &[&str] = if arguments.contains(&"--port") { &[] } else { &["--port", "0"] };
        let mut command = ticksmith(&[&[command], any_port, arguments].concat());
        command.envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut said = Vec::new();
        let url = loop {
            let line = lines.next().expect("it says its address").expect("a line");
            said.push(line.clone());
            if let Some(url) = line.strip_prefix("dashboard") {
                break url.trim().to_owned();
            }
        };
        Self { child, lines, url, said }
    }

    /// The answer of the API, which must be one.
    pub fn json(&self, path: &str) -> serde_json::Value {
        let mut response = ureq::get(format!("{}{path}", self.url)).call().expect("an answer");
        let text = response.body_mut().read_to_string().expect("text");
        serde_json::from_str(&text).expect("json")
    }

    /// Asks again and again until the API's answer is as wanted.
    pub fn wait_for(
        &self,
        path: &str,
        is_wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        const LOOKS: usize = 600;
        const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);
        for _ in 0..LOOKS {
            let mut response = ureq::get(format!("{}{path}", self.url))
                .config()
                .http_status_as_error(false)
                .build()
                .call()
                .expect("an answer");
            let text = response.body_mut().read_to_string().expect("text");
            let answer = serde_json::from_str(&text).unwrap_or_default();
            if is_wanted(&answer) {
                return answer;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("{path} never came to what was waited for");
    }

    /// Asks again and again until the answer is this text.
    pub fn wait_for_text(&self, path: &str, wanted: &str) {
        const LOOKS: usize = 600;
        const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent = ureq::Agent::from(agent);
        for _ in 0..LOOKS {
            let answer = agent.get(format!("{}{path}", self.url)).call().expect("an answer");
            if answer.into_body().read_to_string().expect("text") == wanted {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("{path} never said {wanted}");
    }

    /// Sends a signal to this process alone.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: the child is ours and not waited for yet, so its id is its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits for the end: how it ended, and all that it said after the address.
    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let said = self.lines.by_ref().map_while(Result::ok).collect();
        (self.child.wait().expect("it ends"), said)
    }
}

/// Runs a command to its end: exit code, stdout, stderr.
pub fn run(command: &mut Command) -> (i32, String, String) {
    // Both streams at once: a process that says much on one waits for it to be read.
    let output = command.output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}
