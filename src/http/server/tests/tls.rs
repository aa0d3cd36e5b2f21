//! TLS as a client meets it. The certificate is a self-signed one for `localhost`, made for these tests.

use std::path::PathBuf;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::*;
use crate::http::server::tls;

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/http/server/testdata")
        .join(name)
}

fn with_tls(settings: config::Http) -> config::Http {
    config::Http {
        tls_cert: Some(testdata("localhost.pem")),
        tls_key: Some(testdata("localhost.key")),
        ..settings
    }
}

/// Connects and tells which protocol was agreed on.
async fn connect(
    server: &Running,
    offered: &[&str],
) -> (Option<Vec<u8>>, tokio_rustls::client::TlsStream<TcpStream>) {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(testdata("localhost.pem")).expect("a file");
    roots.add(certificate).expect("a certificate");
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = offered
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(client))
        .connect(name, server.connect().await)
        .await
        .expect("shakes hands");
    let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    (agreed, stream)
}

#[tokio::test]
async fn tls_speaks_what_was_agreed_on_and_marks_responses() {
    let server = start(with_tls(patient())).await;
    for offered in [&["http/1.1"][..], &[]] {
        let (_, mut stream) = connect(&server, offered).await;
        stream.write_all(HELLO.as_bytes()).await.expect("is sent");
        let mut buffer = vec![0; 4096];
        let read = stream.read(&mut buffer).await.expect("is read");
        let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
        assert!(text.contains("strict-transport-security"), "{text}");
    }
    let (agreed, stream) = connect(&server, &["h2", "http/1.1"]).await;
    assert_eq!(agreed.as_deref(), Some(&b"h2"[..]));
    assert_eq!(
        hello_over_http2(TokioIo::new(stream), server.address).await,
        200
    );
}

#[tokio::test]
async fn whoever_does_not_shake_hands_is_let_go() {
    let settings = config::Http {
        header_timeout: SHORT,
        ..patient()
    };
    let server = start(with_tls(settings)).await;
    server.talk(b"").await;
    assert!(!server.talk(HELLO.as_bytes()).await.contains("HTTP/1.1 200"));
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let refused = |cert: &str, key: &str| {
        let settings = config::Http {
            tls_cert: Some(testdata(cert)),
            tls_key: Some(testdata(key)),
            ..patient()
        };
        let error = tls::acceptor(&settings).err().expect("is refused");
        error.to_string()
    };
    assert!(refused("absent.pem", "localhost.key").starts_with("TLS_CERT: "));
    assert!(refused("localhost.pem", "absent.key").starts_with("TLS_KEY: "));
    assert!(refused("localhost.key", "localhost.key").starts_with("TLS_CERT: "));
    assert!(tls::acceptor(&patient()).expect("is fine").is_none());
}
