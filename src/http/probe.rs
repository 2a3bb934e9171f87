//! Asks another process of ticksmith how it is, at the address where it serves its own page: the
//! other end of `/readyz`. That path needs no token, so none is sent.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;
use ureq::http::StatusCode;
use ureq::{Agent, Timeout};

use crate::config::Secret;

/// A process that is well answers within milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Reasons are one line; whoever sends more is none of ours.
const BODY_BYTES_MAX: u64 = 4_096;
const REASON_CHARACTERS_MAX: usize = 300;
/// Of a document of the API.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ready,
    /// At work on something else first, or held up: its own words.
    NotReady(String),
    /// Somebody listens and says nothing: paused, or hanging.
    Silent,
    /// No connection: the reason in a few words.
    Absent(String),
    /// Something that is not ticksmith: what it answers.
    Foreign(String),
}

/// The form of an address: `http://host:port`.
///
/// # Errors
/// A sentence for the user.
pub fn check_address(text: &str) -> Result<String, String> {
    let bare = text.trim_end_matches('/');
    let host = bare.strip_prefix("http://").unwrap_or_default();
    let is_plain = !host.contains(['/', '?', '#', '@']) && !host.contains(char::is_whitespace);
    if host.is_empty() || !is_plain {
        return Err("give the address of a process's own page, http://HOST:PORT".to_owned());
    }
    Ok(bare.to_owned())
}

/// Asks the process at `address`, which is as [`check_address`] wants it.
pub fn ask_ready(address: &str) -> Answer {
    let mut answer = match agent().get(format!("{address}/readyz")).call() {
        Ok(answer) => answer,
        Err(error) => return unanswered(&error),
    };
    let body = answer.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_string();
    let said = first_line(&body.unwrap_or_default());
    match answer.status() {
        StatusCode::OK if said == "ready" => Answer::Ready,
        StatusCode::SERVICE_UNAVAILABLE if !said.is_empty() => Answer::NotReady(said),
        status => Answer::Foreign(format!("HTTP {}", status.as_u16())),
    }
}

/// Asks the API of the process at `address` for a JSON document, with the token if there is one.
///
/// # Errors
/// What came instead of one.
pub fn ask_json(address: &str, path: &str, token: &Secret) -> Result<Value, Answer> {
    let mut request = agent().get(format!("{address}{path}")).header("accept", "application/json");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {}", token.reveal()));
    }
    let mut answer = request.call().map_err(|error| unanswered(&error))?;
    let status = answer.status();
    let body = answer.body_mut().with_config().limit(DOCUMENT_BYTES_MAX).read_to_string();
    let body = body.unwrap_or_default();
    let document: Option<Value> = serde_json::from_str(&body).ok();
    match document {
        Some(document) if status == StatusCode::OK => Ok(document),
        Some(problem) => {
            let detail = first_line(problem["detail"].as_str().unwrap_or_default());
            Err(Answer::Foreign(format!("HTTP {} {detail}", status.as_u16())))
        }
        None => Err(Answer::Foreign(format!("HTTP {}", status.as_u16()))),
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        // The address is meant as it stands; a proxy of the environment is for the world outside.
        .proxy(None)
        .timeout_connect(Some(ANSWER_WITHIN))
        .timeout_global(Some(ANSWER_WITHIN))
        .build()
        .into()
}

fn unanswered(error: &ureq::Error) -> Answer {
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            Answer::Absent(format!("no connection within {} s", ANSWER_WITHIN.as_secs()))
        }
        ureq::Error::Timeout(_) => Answer::Silent,
        ureq::Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => {
            Answer::Absent("connection refused".to_owned())
        }
        ureq::Error::HostNotFound => Answer::Absent("unknown host".to_owned()),
        ureq::Error::Protocol(_) => Answer::Foreign("something that is no HTTP".to_owned()),
        other => Answer::Absent(other.to_string()),
    }
}

/// What another process says is shown on a terminal, so nothing of it may steer one.
fn first_line(body: &str) -> String {
    let line = body.lines().next().unwrap_or_default().trim();
    line.chars().filter(|c| !c.is_control()).take(REASON_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::http::{Readiness, health_router};

    /// Answers one request with `answer`, or with nothing at all.
    fn server(answer: Option<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            let _ = socket.read(&mut request);
            match answer {
                Some(answer) => drop(socket.write_all(answer.as_bytes())),
                // Held open until the client has given up.
                None => drop(socket.read(&mut request)),
            }
        });
        address
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_process_is_believed_what_it_says_of_itself() {
        let readiness = Readiness::not_yet("restoring partition 3: 12000 of about 40000");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = health_router(readiness.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let ask = || {
            let address = address.clone();
            tokio::task::spawn_blocking(move || ask_ready(&address))
        };
        let reason = "restoring partition 3: 12000 of about 40000".to_owned();
        assert_eq!(ask().await.expect("no panic"), Answer::NotReady(reason));
        readiness.set_ready();
        assert_eq!(ask().await.expect("no panic"), Answer::Ready);
    }

    #[test]
    fn others_are_told_apart() {
        let answered = |answer: &'static str| ask_ready(&server(Some(answer)));
        let not_found = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(answered(not_found), Answer::Foreign("HTTP 404".into()));
        let page = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n<html>\n";
        assert_eq!(answered(page), Answer::Foreign("HTTP 200".into()));
        assert!(matches!(answered("220 mail\r\n"), Answer::Foreign(_)));
        let colours = "HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\n\x1b[2Jno\r\nb";
        assert_eq!(answered(colours), Answer::NotReady("[2Jno".into()));
        let refusal = "HTTP/1.1 404 No\r\ncontent-length: 17\r\n\r\n{\"detail\":\"no A\"}";
        let asked = |answer| ask_json(&server(Some(answer)), "/x", &Secret::default());
        assert_eq!(asked(refusal), Err(Answer::Foreign("HTTP 404 no A".into())));
        assert_eq!(asked(page), Err(Answer::Foreign("HTTP 200".into())));
        let list = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,2]";
        assert_eq!(asked(list), Ok(serde_json::json!([1, 2])));
        assert_eq!(ask_ready(&server(None)), Answer::Silent);
        assert!(matches!(ask_ready("http://127.0.0.1:1"), Answer::Absent(_)));
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["http://127.0.0.1:8080", "http://[::1]:8080", "http://stream-1:8080/"] {
            assert_eq!(check_address(good).expect(good), good.trim_end_matches('/'));
        }
        for bad in ["", "http://", "stream-1:8080", "https://a:1", "http://a:1/b", "http://u:p@a:1"]
        {
            assert!(check_address(bad).expect_err(bad).contains("http://HOST:PORT"), "{bad}");
        }
    }
}
