//! Whom the client takes for the feed: certificates of Mozilla's authorities, or of one's own where
//! a proxy that looks into TLS, or a feed of one's own, stands in between.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::Connector;

use crate::error::{Error, Result};

/// The authorities that a feed's certificate may come from; by default those that are built in.
#[derive(Debug, Clone, Default)]
pub struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    /// Only the authorities in the PEM file at `path`; those that are built in for no path.
    ///
    /// # Errors
    /// `Config` naming the file that cannot be used.
    pub fn of(path: &str) -> Result<Self> {
        if path.is_empty() {
            return Ok(Self::default());
        }
        let unusable = |problem: &str| {
            Error::Config(format!(
                "finnhub.tls_ca {path}: {problem}; give a PEM file with the authority's certificate"
            ))
        };
        let pem = read(path).map_err(|error| unusable(&error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| unusable(&error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(&error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("no certificate in it"));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Bug(format!("TLS versions: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Some(Arc::new(config))))
    }

    /// `None`: the library's own, with the authorities that are built in.
    pub(super) fn connector(&self) -> Option<Connector> {
        self.0.clone().map(Connector::Rustls)
    }
}

/// The content is bounded, so that a wrong path cannot fill the memory.
fn read(path: &str) -> std::io::Result<Vec<u8>> {
    const BYTES_MAX: u64 = 4 << 20;
    let mut content = Vec::new();
    File::open(path)?.take(BYTES_MAX).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (path, words) in [("/nowhere/ca.pem", "No such file"), (manifest, "no certificate")] {
            let error = Trust::of(path).expect_err(path).to_string();
            assert!(error.contains(path) && error.contains(words), "{error}");
        }
    }
}
