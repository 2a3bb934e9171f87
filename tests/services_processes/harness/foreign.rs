//! The scripts of tests/foreign and their Python environment.

use std::path::PathBuf;
use std::process::Command;

/// A script with its interpreter, to be given arguments.
pub fn script(name: &str) -> Command {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = repository.join(".infra/foreign-venv/bin/python");
    assert!(
        python.exists(),
        "the Python environment is missing: scripts/foreign-venv.sh makes it, as \
         `make test-integration` does"
    );
    let mut command = Command::new(python);
    command.arg(repository.join("tests/foreign").join(name));
    command
}

/// Runs a script that must succeed, and returns its standard output.
pub fn output_of(command: &mut Command) -> String {
    let output = command.output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
    said
}
