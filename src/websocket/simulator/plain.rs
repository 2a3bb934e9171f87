//! `/livez`, `/readyz` and `/metrics` on the simulator's own port: it has only one, and an
//! orchestrator and Prometheus ask it as they ask every role.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::telemetry;

/// A request without a body is no longer than this.
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// A page that is asked for without an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Health,
    Metrics,
}

impl Page {
    /// What the first bytes of a connection ask for, which stay to be read; `None`: a feed.
    pub(super) async fn asked_of(stream: &TcpStream) -> Option<Self> {
        let mut start = [0; 16];
        let length = stream.peek(&mut start).await.ok()?;
        Self::of(&start[..length])
    }

    fn of(start: &[u8]) -> Option<Self> {
        if start.starts_with(b"GET /metrics ") {
            Some(Self::Metrics)
        } else if start.starts_with(b"GET /livez ") || start.starts_with(b"GET /readyz ") {
            Some(Self::Health)
        } else {
            None
        }
    }

    /// Answers, and is done with the connection.
    ///
    /// # Errors
    /// When the other side is gone.
    pub(super) async fn send(self, mut stream: TcpStream) -> std::io::Result<()> {
        // A close with something unread could overtake the answer.
        let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
            match stream.read(&mut chunk).await? {
                0 => break,
                length => request.extend_from_slice(&chunk[..length]),
            }
        }
        let body = match self {
            Self::Health => "ok\n".to_owned(),
            Self::Metrics => telemetry::render(),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            telemetry::PROMETHEUS_TEXT,
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_pages_are_taken_for_pages() {
        assert_eq!(Page::of(b"GET /metrics HTTP"), Some(Page::Metrics));
        assert_eq!(Page::of(b"GET /livez HTTP/1"), Some(Page::Health));
        assert_eq!(Page::of(b"GET /readyz HTTP"), Some(Page::Health));
        assert_eq!(Page::of(b"GET /?token=demo"), None);
        assert_eq!(Page::of(b"GET /metric"), None);
    }

    #[tokio::test]
    async fn metrics_are_answered_in_full() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let asked = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            let request = b"GET /metrics HTTP/1.1\r\nHost: simulator\r\n\r\n";
            stream.write_all(request).await.expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("answered");
            answer
        });
        telemetry::process::started(telemetry::process::Role::Simulate);
        let (stream, _) = listener.accept().await.expect("accepted");
        let page = Page::asked_of(&stream).await.expect("a page");
        page.send(stream).await.expect("sent");
        let answer = asked.await.expect("no panic");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert!(body.contains("ticksmith_build_info{role=\"simulate\""), "{body}");
    }
}
