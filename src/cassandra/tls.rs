//! TLS to Cassandra: whom we trust, what we show, and what a refusal means to the user.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
};

use crate::config::Cassandra;
use crate::error::{Error, Result};

/// What connections to `points` (`host:port`) are secured with.
///
/// # Errors
/// `Config` naming the file that cannot be used.
pub(super) fn client_config(config: &Cassandra, points: &[String]) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = NodeVerifier::new(roots(&config.tls_ca)?, points, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Bug(format!("TLS versions: {error}")))?
        // "Dangerous" is what replaces the check of the certificate: ours is theirs, with names.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    if config.tls_certificate.is_empty() {
        return Ok(Arc::new(builder.with_no_client_auth()));
    }
    let chain = certificates("tls_certificate", &config.tls_certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read("tls_key", &config.tls_key)?).map_err(|_| {
        let problem = "no private key in it; give a PEM file that is not encrypted";
        unusable("tls_key", &config.tls_key, problem)
    })?;
    let config = builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable("tls_key", &config.tls_key, &error.to_string()))?;
    Ok(Arc::new(config))
}

fn roots(path: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if path.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    }
    for certificate in certificates("tls_ca", path)? {
        roots.add(certificate).map_err(|error| unusable("tls_ca", path, &error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(key: &str, path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(key, path)?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(key, path, "no certificate in it; give a PEM file")),
        Err(error) => Err(unusable(key, path, &error.to_string())),
    }
}

/// The content is bounded, so that a wrong path cannot fill the memory.
fn read(key: &str, path: &str) -> Result<Vec<u8>> {
    const BYTES_MAX: u64 = 4 << 20;
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut content));
    read.map_err(|error| unusable(key, path, &error.to_string()))?;
    Ok(content)
}

fn unusable(key: &str, path: &str, problem: &str) -> Error {
    Error::Config(format!("cassandra.{key} {path}: {problem}"))
}

/// The usual check of a certificate, by more names than one. The driver asks for the address of the
/// node, which it may know from another node alone; certificates are mostly made out to host names.
/// So the address will do, and so will the name of any contact point: these the user wrote down.
#[derive(Debug)]
struct NodeVerifier {
    usual: Arc<WebPkiServerVerifier>,
    contact_points: Vec<ServerName<'static>>,
}

impl NodeVerifier {
    fn new(
        roots: RootCertStore,
        points: &[String],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self> {
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let usual =
            builder.build().map_err(|error| Error::Config(format!("cassandra.tls_ca: {error}")))?;
        let hosts = points.iter().filter_map(|point| point.rsplit_once(':')).map(|(host, _)| host);
        // An address is no name: that of the node is checked by itself.
        let names = hosts.filter_map(|host| ServerName::try_from(host.to_owned()).ok());
        let is_host = |name: &ServerName<'_>| matches!(name, ServerName::DnsName(_));
        Ok(Self { usual, contact_points: names.filter(is_host).collect() })
    }
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        address: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, TlsError> {
        let verify = |name: &ServerName<'_>| {
            self.usual.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        let refused = match verify(address) {
            Err(refused) if is_of_another_name(&refused) => refused,
            verdict => return verdict,
        };
        self.contact_points.iter().find_map(|name| verify(name).ok()).ok_or(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

fn is_of_another_name(error: &TlsError) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(error, TlsError::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
}

/// A refusal by either side, as what follows "Cassandra at …": the setting and the remedy. `None`
/// when the problem is another. The driver hands these on as words.
pub(super) fn explain(problem: &str, config: &Cassandra) -> Option<String> {
    let problem = problem.to_lowercase();
    let has = |words: &str| problem.contains(words);
    let text = if has("credentials") || has("authentication") {
        match config.username.as_str() {
            "" => "wants a login; set cassandra.username and cassandra.password".to_owned(),
            user => format!(
                "refuses the login of user '{user}'; set cassandra.username and cassandra.password"
            ),
        }
    } else if has("not valid for") {
        "shows a certificate of another host; give it as a name of the certificate in \
         cassandra.contact_points"
            .to_owned()
    } else if has("invalid peer certificate") {
        "shows a certificate that is not trusted; set cassandra.tls_ca to the authority that \
         signed it"
            .to_owned()
    } else if has("fatal alert") {
        "refuses our certificate; set cassandra.tls_certificate and cassandra.tls_key".to_owned()
    } else if config.tls && (has("corrupt message") || has("handshake eof")) {
        "does not speak TLS there; set cassandra.tls = false, or the port that does".to_owned()
    } else if has("setup request") && has("connection broken") {
        // How TLS was refused is often lost on the way through the driver.
        let remedy = match config.tls {
            false => "TLS does; set cassandra.tls = true",
            true => "certificates does; set cassandra.tls_certificate and cassandra.tls_key",
        };
        format!("breaks the connection off, as a port for {remedy}")
    } else {
        return None;
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The words are the driver's own, as a real Cassandra made it say them.
    #[test]
    fn refusals_name_the_setting() {
        let open = Config::defaults().cassandra;
        let user = Cassandra { username: "desk".into(), tls: true, ..open.clone() };
        let cases = [
            ("Authentication failed - bad credentials, Error message: Provided", "user 'desk'"),
            ("invalid peer certificate: UnknownIssuer", "set cassandra.tls_ca"),
            ("invalid peer certificate: certificate not valid for name \"10.0.0.1\"", "a name of"),
            ("received fatal alert: CertificateRequired", "set cassandra.tls_certificate"),
            ("received corrupt message of type InvalidContentType", "set cassandra.tls = false"),
        ];
        for (problem, expected) in cases {
            let told = explain(problem, &user).unwrap_or_default();
            assert!(told.contains(expected), "{problem}: {told}");
        }
        let told = explain("Authentication is required. You can use", &open).unwrap_or_default();
        assert!(told.starts_with("wants a login"), "{told}");
        let broken = "Failed to perform a connection setup request. Request: OPTIONS, reason: \
                      Connection broken, reason: The connection was already broken";
        assert!(explain(broken, &open).unwrap_or_default().contains("cassandra.tls = true"));
        assert!(explain(broken, &user).unwrap_or_default().contains("cassandra.tls_certificate"));
        assert_eq!(explain("Connection refused (os error 111)", &user), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_key() {
        let open = Config::defaults().cassandra;
        for path in ["/no/such/ca.pem", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
            let config = Cassandra { tls: true, tls_ca: path.into(), ..open.clone() };
            let told = client_config(&config, &[]).expect_err(path).to_string();
            assert!(told.starts_with(&format!("cassandra.tls_ca {path}: ")), "{told}");
        }
    }
}
