//! What a panic becomes: one line that calls it a bug and holds no value of the program, or a quiet
//! end when all that happened is that the reader of stdout went away (`ticksmith bars … | head`).

use std::io::Write;
use std::panic::PanicHookInfo;

/// What `print!` says when it panics because of a closed pipe.
const CLOSED_STDOUT: &str = "failed printing to stdout: Broken pipe";

/// Installs the hook for the process.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let message = message_of(info);
        if message.starts_with(CLOSED_STDOUT) {
            // The reader has had enough, which is no failure; nothing is left to be told.
            std::process::exit(0);
        }
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        let cause = without_values(&message);
        let line = format!("ticksmith: bug: {cause} at {place}; please report this line");
        // `eprintln!` would panic again when stderr is closed.
        let _ = writeln!(std::io::stderr(), "{line}");
    }));
}

fn message_of(info: &PanicHookInfo<'_>) -> String {
    info.payload_as_str().unwrap_or("a panic without a message").to_owned()
}

/// `expect` appends the error that it met, `assert_eq!` its operands: those may hold a secret.
fn without_values(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    line.split(": ").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_invariant_is_cut_off() {
        let message = "a valid address: Url(\"wss://x?token=s3cret\")";
        assert_eq!(without_values(message), "a valid address");
        assert_eq!(without_values("assertion failed\n left: 1"), "assertion failed");
    }
}
