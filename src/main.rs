//! argv to role to exit code: the one place that ends the process.

use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;

use ticksmith::cli::{Cli, Outcome};
use ticksmith::error::Error;
use ticksmith::runtime::{
    forbid_core_dumps, give_back_now_and_then, hold_signals, install_panic_hook, release_signals,
};

fn main() -> ExitCode {
    // First of all: a stop in the first millisecond is a stop too.
    hold_signals();
    forbid_core_dumps();
    install_panic_hook();
    // A panic has told its line by now; what is left of it here is the exit code of a bug.
    match catch_unwind(run) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Usage(error)) => {
            // Help on stdout is a success, a wrong argument on stderr is not; a closed pipe is
            // neither.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        Ok(Outcome::Failed(error)) => {
            let _ = writeln!(std::io::stderr(), "ticksmith: {error}");
            error.exit_code()
        }
        Err(_) => ExitCode::from(3),
    }
}

fn run() -> Outcome {
    match Cli::parse_arguments() {
        Ok(cli) => {
            if !cli.command.runs_until_stopped() {
                release_signals();
            } else if let Err(error) = give_back_now_and_then() {
                return Outcome::Failed(Error::Unavailable(format!("no thread left: {error}")));
            }
            cli.execute()
        }
        Err(error) => Outcome::Usage(error),
    }
}
