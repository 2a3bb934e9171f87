//! Against a server in this process that answers as a registry does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::model::Trade;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/registry");

#[derive(Debug, Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_us(&self) -> i64 {
        0
    }
    fn monotonic_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Request {
    line: String,
    head: String,
    body: String,
}

fn read_request(stream: &mut impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok()?;
        let field = field.trim_end().to_ascii_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&field);
        head.push('\n');
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line, head, body: String::from_utf8(body).ok()? })
}

type Answer = (u16, String);

fn serve(stream: &mut (impl Read + Write), answer: &impl Fn(&Request) -> Answer) {
    if let Some(request) = read_request(stream) {
        let (status, body) = answer(&request);
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n");
        drop(stream.write_all(format!("{head}\r\n{body}").as_bytes()));
        drop(stream.flush());
    }
}

/// Serves until the process ends; returns `host:port`.
fn server(answer: impl Fn(&Request) -> Answer + Send + 'static) -> String {
    server_with(answer, |stream, answer| serve(&mut &stream, answer))
}

fn server_with<A: Fn(&Request) -> Answer + Send + 'static>(
    answer: A,
    each: impl Fn(TcpStream, &A) + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            each(stream, &answer);
        }
    });
    address.to_string()
}

fn settings(url: &str) -> Settings {
    Settings {
        url: url.into(),
        username: String::new(),
        password: Secret::default(),
        ca_file: String::new(),
    }
}

fn topics() -> Topics {
    let text = |name: &str| name.to_owned();
    Topics {
        trades: text("trades"),
        silver: text("trades-silver"),
        late: text("trades-late"),
        rejected: text("trades-rejected"),
        bars: text("bars"),
        changelog: text("changelog"),
        leases: text("leases"),
        partitions: 1,
        replication: 1,
        trades_retention_hours: 1,
        output_retention_hours: 1,
    }
}

fn registry(address: &str) -> Registry {
    Registry::new(&settings(&format!("http://{address}/")), Arc::new(HandClock::default()))
        .expect("valid settings")
}

/// Gives ids in the order of asking, by subject, and denies every schema but 99.
fn believable(request: &Request) -> Answer {
    let id = match request.line.split(' ').nth(1) {
        Some("/subjects/trades-value/versions") => 1,
        Some("/subjects/trades-silver-value/versions") => 2,
        Some("/subjects/bars-value/versions") => 3,
        Some("/subjects/trades-late-value/versions") => 4,
        Some("/schemas/ids/99") => {
            return (200, r#"{"schema": "{\"type\": \"string\"}"}"#.into());
        }
        Some("/schemas/ids/98") => {
            return (200, r#"{"schemaType": "PROTOBUF", "schema": "x"}"#.into());
        }
        _ => return (404, r#"{"error_code": 40403, "message": "Schema not found"}"#.into()),
    };
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
    let is_ours = request.head.contains(CONTENT_TYPE) && body["schema"].is_string();
    if is_ours { (200, format!("{{\"id\":{id}}}")) } else { (422, "{}".into()) }
}

#[test]
fn schemas_are_registered_and_records_framed_with_their_ids() {
    let address = server(believable);
    let clock: Arc<dyn Clock> = Arc::new(HandClock::default());
    let avro = open_avro(&settings(&format!("http://{address}")), &topics(), clock);
    let avro = avro.expect("registered");
    let trade = Trade {
        symbol: "A".into(),
        price: 1.0,
        volume: 1.0,
        trade_time_ms: 1,
        conditions: None,
        connection: 1,
        seq: 1,
        received_at_us: 0,
        feed: "".into(),
    };
    let mut bytes = Vec::new();
    avro.encode_silver(&trade, &mut bytes).expect("encodes");
    assert_eq!(bytes[..5], [0, 0, 0, 0, 2]);
    assert_eq!(avro.decode_trade(&bytes), Ok(trade));
}

#[test]
fn without_an_address_there_is_no_registry() {
    let clock: Arc<dyn Clock> = Arc::new(HandClock::default());
    assert!(open_avro(&settings(""), &topics(), clock).is_ok());
}

#[test]
fn a_schema_is_found_absent_or_of_another_kind() {
    let registry = registry(&server(believable));
    assert_eq!(registry.schema(99), Ok(Some(r#"{"type": "string"}"#.into())));
    assert_eq!(registry.schema(98), Ok(None));
    assert_eq!(registry.schema(97), Ok(None));
}

#[test]
fn absence_is_believed_for_a_while_only() {
    let (asked, clock) = (Arc::new(AtomicUsize::new(0)), Arc::new(HandClock::default()));
    let counter = Arc::clone(&asked);
    let address = server(move |request| {
        counter.fetch_add(1, Ordering::SeqCst);
        believable(request)
    });
    let registry = Registry::new(&settings(&format!("http://{address}")), Arc::clone(&clock) as _);
    let registry = registry.expect("valid settings");
    for _ in 0..5 {
        assert_eq!(registry.schema(5), Ok(None));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    clock.0.store(ABSENT_FOR_US, Ordering::Relaxed);
    assert_eq!(registry.schema(5), Ok(None));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn only_the_registrys_own_word_is_final() {
    for (status, body) in [
        (404, "<html>not here</html>"),
        (404, r#"{"error_code": 404, "message": "HTTP 404 Not Found"}"#),
        (500, r#"{"error_code": 50001, "message": "store"}"#),
        (401, r#"{"error_code": 401, "message": "Unauthorized"}"#),
        (429, ""),
        (200, "hello"),
    ] {
        let address = server(move |_| (status, body.to_owned()));
        let error = registry(&address).schema(1).expect_err("no answer");
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert!(error.to_string().contains(&address) && !error.to_string().contains('\n'));
    }
}

#[test]
fn nobody_there_is_unavailable() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").to_string()
    };
    let error = registry(&address).register("trades-value", "{}").expect_err("nobody there");
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[test]
fn an_incompatible_schema_names_the_subject() {
    let conflict = r#"{"error_code": 409, "message": "Schema being registered is incompatible"}"#;
    let address = server(move |_| (409, conflict.to_owned()));
    let error = registry(&address).register("trades-value", "{}").expect_err("incompatible");
    assert!(matches!(error, Error::Config(_)), "{error}");
    assert!(error.to_string().contains("trades-value"), "{error}");
    assert!(error.to_string().contains("is incompatible"), "{error}");
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let address = server(|request| {
        // user:s3cret
        if request.head.contains("authorization: basic dxnlcjpzm2nyzxq=") {
            (200, r#"{"id": 7}"#.into())
        } else {
            (401, r#"{"error_code": 401, "message": "Unauthorized"}"#.into())
        }
    });
    let with = |password: &str| {
        let settings = Settings {
            username: "user".into(),
            password: Secret::new(password),
            ..settings(&format!("http://{address}"))
        };
        Registry::new(&settings, Arc::new(HandClock::default())).expect("valid settings")
    };
    assert_eq!(with("s3cret").register("trades-value", "{}"), Ok(7));
    let refused = with("wr0ng");
    let error = refused.register("trades-value", "{}").expect_err("refused");
    assert!(matches!(error, Error::Config(_)), "{error}");
    let shown = format!("{error} {error:?} {refused:?}");
    assert!(!shown.contains("wr0ng") && !shown.contains(&BASE64.encode("user:wr0ng")), "{shown}");
}

#[test]
fn addresses_and_authorities_are_checked_before_anything_is_sent() {
    for url in ["localhost:8081", "http://", "ftp://host", "http://user:s3cret@host"] {
        let error = Registry::new(&settings(url), Arc::new(HandClock::default()));
        let error = error.expect_err(url);
        assert!(matches!(error, Error::Config(_)) && !error.to_string().contains("s3cret"));
    }
    for file in ["/no/such/file.pem", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
        let settings = Settings { ca_file: file.into(), ..settings("https://localhost") };
        let error = Registry::new(&settings, Arc::new(HandClock::default())).expect_err(file);
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn tls_trusts_the_authority_of_the_file_and_no_other() {
    let read = |name: &str| format!("{FIXTURES}/{name}");
    let certificate = CertificateDer::from_pem_file(read("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(read("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a matching key");
    let config = Arc::new(config);
    let address = server_with(believable, move |stream, answer| {
        let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        serve(&mut StreamOwned::new(session, stream), answer);
    });
    let url = format!("https://{}", address.replace("127.0.0.1", "localhost"));
    let trusting = Settings { ca_file: read("ca.pem"), ..settings(&url) };
    for (settings, is_trusted) in [(trusting, true), (settings(&url), false)] {
        let registry = Registry::new(&settings, Arc::new(HandClock::default())).expect("valid");
        let answer = registry.register("trades-value", "{");
        assert_eq!(answer.is_ok(), is_trusted, "{answer:?}");
    }
}
