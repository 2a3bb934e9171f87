//! The scripts that run inside containers, run here.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::description::root;

/// A `ticksmith` that answers `config` as the real one does and otherwise says what it was told.
fn stand_in(directory: &Path) {
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = config ] && exec {} \"$@\"\necho \"$@, key $FINNHUB_API_KEY\"\n",
        env!("CARGO_BIN_EXE_ticksmith")
    );
    let path = directory.join("ticksmith");
    fs::write(&path, script).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
}

fn feed(service: &str, key: Option<&str>) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a directory");
    stand_in(directory.path());
    let path = std::env::var("PATH").expect("a path");
    let mut command = Command::new(root().join("docker/ticksmith-feed"));
    command.arg(service).current_dir(directory.path()).env_remove("FINNHUB_API_KEY");
    command.env("PATH", format!("{}:{path}", directory.path().display()));
    let output = match key {
        Some(key) => command.env("FINNHUB_API_KEY", key).output(),
        None => command.output(),
    };
    let Output { status, stdout, stderr } = output.expect("it runs");
    let said = [stdout, stderr].map(|said| String::from_utf8(said).expect("UTF-8")).concat();
    (status.code(), said)
}

#[test]
fn without_a_key_the_simulator_is_read_and_with_one_the_market() {
    for key in [None, Some(""), Some("your_key_here")] {
        let (code, said) = feed("simulator", key);
        assert!(code == Some(0) && said.starts_with("simulate, key"), "{key:?}: {said}");
        let (code, said) = feed("producer", key);
        let read = "producer --url ws://simulator:8765, key demo\n";
        assert!(code == Some(0) && said.starts_with(read), "{key:?}: {said}");
        assert!(said.contains("FINNHUB_API_KEY is not set"), "{said}");
    }
    let (code, said) = feed("producer", Some("c0ffee"));
    assert_eq!((code, said.as_str()), (Some(0), "producer, key c0ffee\n"));
    let (code, said) = feed("simulator", Some("c0ffee"));
    assert!(code == Some(0) && said.contains("no simulator is needed"), "{said}");
    assert_eq!(feed("dashboard", None).0, Some(2));
}

#[test]
fn health_is_what_readyz_says() {
    let ask = |answer: Option<&'static str>| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port().to_string();
        let server = answer.map(|answer| {
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("asked");
                let (mut request, mut byte) = (Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte).expect("a request");
                    request.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).expect("answered");
                String::from_utf8_lossy(&request).into_owned()
            })
        });
        let output = Command::new(root().join("docker/ticksmith-health")).arg(port).output();
        let asked = server.map(|server| server.join().expect("no panic"));
        (output.expect("it runs"), asked)
    };
    let (output, asked) = ask(Some("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nready\n"));
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ready\n");
    assert!(asked.expect("asked").starts_with("GET /readyz HTTP/1.1\r\n"));
    let away = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 6\r\n\r\nCassandra is away\n";
    let (output, _) = ask(Some(away));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Cassandra is away\n");
    let (output, _) = ask(None);
    assert_eq!(output.status.code(), Some(1), "nobody listens");
}

/// `docker-compose exec kafka kafka-consumer-groups …`, word for word.
#[test]
fn kafka_s_tools_are_in_the_path_and_pass_their_arguments_on() {
    let directory = root().join("docker/kafka/bin");
    let compose = fs::read_to_string(root().join("docker-compose.yml")).expect("the file");
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).expect("the wrappers").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        let mount = format!("- ./docker/kafka/bin/{name}:/usr/local/bin/{name}:ro\n");
        assert!(compose.contains(&mount), "{name} is not mounted");
        let mode = entry.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o555, 0o555, "{name} is not executable");
        let text = fs::read_to_string(entry.path()).expect("a script");
        assert!(text.ends_with(&format!("exec /opt/kafka/bin/{name}.sh \"$@\"\n")), "{text}");
        names.push(name);
    }
    assert!(names.iter().any(|name| name == "kafka-consumer-groups"), "{names:?}");
}
