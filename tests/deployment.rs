//! The systemd unit that ships: valid for systemd, and in step with what the program does.

use std::path::Path;
use std::process::Command;

const UNIT: &str = include_str!("../config/systemd/ticksmith@.service");
const ROLES: [&str; 2] = ["producer", "stream"];

fn setting(name: &str) -> &str {
    let value = UNIT.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn systemd_takes_the_unit() {
    let directory = tempfile::tempdir().expect("a directory");
    let binary = env!("CARGO_BIN_EXE_ticksmith");
    let text = UNIT.replace("/usr/local/bin/ticksmith", binary);
    std::fs::write(directory.path().join("ticksmith@.service"), text).expect("written");
    for role in ROLES {
        let instance = directory.path().join(format!("ticksmith@{role}.service"));
        let checked = Command::new("systemd-analyze").arg("verify").arg(&instance).output();
        // Where there is no systemd, nobody uses the unit; what it must say is checked below.
        let Ok(checked) = checked else { return };
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success() && !said.contains("ticksmith@"), "{role}: {said}");
    }
}

#[test]
fn the_unit_starts_roles_and_gives_them_time_to_stop() {
    assert_eq!(setting("ExecStart"), "/usr/local/bin/ticksmith %i");
    let page = include_str!("../docs/DEPLOYMENT.md");
    for role in ROLES {
        assert!(page.contains(&format!("ticksmith@{role}")), "{role} is not on the page");
        let help = Command::new(env!("CARGO_BIN_EXE_ticksmith")).args([role, "--help"]).output();
        assert!(help.expect("it runs").status.success(), "{role} is no role");
    }
    let drain_ms = ticksmith::config::Config::defaults().stream.drain_deadline_ms;
    let stop_s: u64 = setting("TimeoutStopSec").parse().expect("seconds");
    assert!(stop_s * 1_000 > drain_ms + 1_000, "systemd would kill what is still draining");
    assert_eq!(setting("RestartPreventExitStatus"), "2");
    assert!(Path::new("/var/lib/ticksmith").starts_with(setting("WorkingDirectory")));
}
