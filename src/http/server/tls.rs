//! TLS, where it is terminated here: rustls with ring, HTTP/2 and HTTP/1.1 by ALPN.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::config;

/// An acceptor when both `TLS_CERT` and `TLS_KEY` are set.
pub(super) fn acceptor(settings: &config::Http) -> io::Result<Option<TlsAcceptor>> {
    let (Some(chain), Some(key)) = (&settings.tls_cert, &settings.tls_key) else {
        return Ok(None);
    };
    let certificates = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| named("TLS_KEY", key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        })
        .map_err(|error: rustls::Error| named("TLS_CERT and TLS_KEY", chain, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| named("TLS_CERT", path, &error));
    match chain {
        Ok(chain) if chain.is_empty() => Err(named("TLS_CERT", path, &"no certificate in it")),
        chain => chain,
    }
}

fn named(variable: &str, path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    let text = format!("{variable}: {}: {error}", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
