//! A listener that is bound before anything else starts, so that a taken port is the first thing
//! the user hears of.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Extension, Router};
use tracing::{Instrument as _, warn};

use super::origins::Origins;
use super::token::guarded;
use crate::config::{Http, Secret};
use crate::error::{Error, Result};
use crate::telemetry::spans;

/// Requests in flight may take so long after the stop; live streams never end by themselves.
const LINGER: Duration = Duration::from_millis(500);

/// A bound address that does not serve yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: Secret,
    origins: Origins,
}

impl Server {
    /// Binds `http.bind` with `port`; port 0 takes a free one. `remedy` names the flag or key that
    /// moves the port, for example `--port`. Warns when strangers can read what is served.
    ///
    /// # Errors
    /// `Config` when the port is taken or the address is none of this machine's.
    pub fn bind(http: &Http, port: u16, remedy: &str) -> Result<Self> {
        let bind = http.bind.as_str();
        let open = || -> std::io::Result<Self> {
            let listener = TcpListener::bind((bind, port))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            if !address.ip().is_loopback() && http.token.is_empty() {
                warn!(
                    "http.bind = {bind} lets everybody who reaches port {} read everything; set \
                     http.token, or http.bind = 127.0.0.1",
                    address.port()
                );
            }
            let origins = Origins::new(&http.cors_origins);
            Ok(Self { listener, address, token: http.token.clone(), origins })
        };
        open().map_err(|error| {
            Error::Config(match error.kind() {
                ErrorKind::AddrInUse => {
                    format!("port {port} on {bind} is taken; choose another with {remedy}")
                }
                ErrorKind::PermissionDenied => {
                    format!(
                        "port {port} on {bind} is not allowed: {error}; choose one above 1023 \
                     with {remedy}"
                    )
                }
                _ => format!(
                    "cannot listen on {bind}:{port}: {error}; set http.bind to an \
                 address of this machine"
                ),
            })
        })
    }

    /// Where it listens, the real port included.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a person opens it.
    pub fn url(&self) -> String {
        let port = self.address.port();
        match self.address {
            address if address.ip().is_unspecified() => format!("http://localhost:{port}"),
            address => format!("http://{address}"),
        }
    }

    /// Serves those who show the token until `stop` completes, then lets requests in flight end
    /// within half a second.
    ///
    /// # Errors
    /// `Unavailable` when the listener cannot be handed to the runtime or fails.
    pub async fn serve(
        self,
        router: Router,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let address = self.address;
        let failed = move |error: std::io::Error| {
            Error::Unavailable(format!("HTTP server on {address}: {error}"))
        };
        let guarded = guarded(router, &self.token).layer(Extension(self.origins.clone()));
        // Around the guard: a browser that asks for leave shows no token yet.
        let router = match self.origins.layer() {
            Some(leave) => guarded.layer(leave),
            None => guarded,
        };
        let router = router.layer(from_fn(traced));
        let listener = tokio::net::TcpListener::from_std(self.listener).map_err(failed)?;
        let (stopped_sender, stopped) = tokio::sync::oneshot::channel::<()>();
        let graceful = axum::serve(listener, router).with_graceful_shutdown(async move {
            stop.await;
            // The receiver lives in the `select!` below; when it is gone, nobody waits.
            let _ = stopped_sender.send(());
        });
        tokio::select! {
            served = async move { graceful.await } => served.map_err(failed),
            () = async move {
                let _ = stopped.await;
                tokio::time::sleep(LINGER).await;
            } => Ok(()),
        }
    }
}

/// A span for every request, as long as its answer takes to begin.
async fn traced(request: Request, next: Next) -> Response {
    let span = spans::request(request.method().as_str(), request.uri().path());
    let response = next.run(request).instrument(span.clone()).await;
    spans::answered(&span, response.status().as_u16());
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_taken_port_names_itself_and_the_remedy() {
        let http = Config::defaults().http;
        let first = Server::bind(&http, 0, "--port").expect("a free port");
        let port = first.address().port();
        let error = Server::bind(&http, port, "--port").expect_err("taken");
        let expected = format!("port {port} on 127.0.0.1 is taken; choose another with --port");
        assert_eq!(error, Error::Config(expected));
        assert_eq!(first.url(), format!("http://127.0.0.1:{port}"));
    }
}
