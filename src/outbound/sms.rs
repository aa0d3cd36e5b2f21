//! SMS through Twilio's REST API, or through whatever speaks like it at `TWILIO_BASE_URL`.
//!
//! One form per SMS (<https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource>).
//! Twilio has no idempotency key: when no answer comes, it is unknown whether the SMS went out.

mod answer;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::Failure;
use super::undelivered::{MISCONFIGURED, Refusal, TIMEOUT, UNREACHABLE};
use crate::config;

/// Longest answer that is read, in bytes; Twilio's have about one thousand.
const MAX_ANSWER: usize = 64 * 1024;
/// Timeout of the body of an answer once its status is known.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time that an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Most unused connections.
const MAX_IDLE: usize = 4;

/// A Twilio account and the connections to it.
pub(super) struct Sms {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    authorization: HeaderValue,
    from: String,
    timeout: Duration,
}

impl Sms {
    /// The configured account; `None` when there is none.
    pub(super) fn new(settings: &config::Outbound) -> Result<Option<Self>, String> {
        let sms = &settings.sms;
        let (Some(account), Some(token), Some(from)) =
            (&sms.account_sid, &sms.auth_token, &sms.phone_number)
        else {
            return Ok(None);
        };
        let uri = format!(
            "{}/2010-04-01/Accounts/{account}/Messages.json",
            sms.base_url.trim_end_matches('/')
        );
        let uri: Uri = uri
            .parse()
            .map_err(|error| format!("TWILIO_BASE_URL: {error}"))?;
        warn_of_plain_text(&uri);
        Ok(Some(Self {
            client: client(&uri)?,
            uri,
            authorization: basic(account, token)?,
            from: from.clone(),
            timeout: settings.timeout,
        }))
    }

    /// Sends one SMS.
    pub(super) async fn send(&self, to: &str, text: &str) -> Result<(), Failure> {
        if !is_e164(to) {
            return Err(Failure::refused(
                Refusal::InvalidAddress,
                "not a number in E.164 form",
            ));
        }
        let request = self.request(to, text)?;
        match timeout(self.timeout, self.client.request(request)).await {
            Ok(Ok(response)) => judge(response).await,
            Ok(Err(error)) => Err(Failure::later(UNREACHABLE, causes(&error))),
            Err(_) => Err(Failure::later(TIMEOUT, "no answer")),
        }
    }

    fn request(&self, to: &str, text: &str) -> Result<Request<Full<Bytes>>, Failure> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("To", to)
            .append_pair("From", &self.from)
            .append_pair("Body", text)
            .finish();
        Request::post(self.uri.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(USER_AGENT, concat!("sallyport/", env!("CARGO_PKG_VERSION")))
            .body(Full::from(form))
            .map_err(|error| Failure::later(MISCONFIGURED, error.to_string()))
    }
}

/// Judges an answer. Only the status counts when the body does not come, is endless or broken.
async fn judge(response: Response<Incoming>) -> Result<(), Failure> {
    let (head, body) = response.into_parts();
    let body = timeout(ANSWER_TIMEOUT, Limited::new(body, MAX_ANSWER).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    let retry_after = head.headers.get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok());
    answer::judge(head.status.as_u16(), retry_after, &body)
}

/// Whether a number has the form of ITU-T E.164: a plus, a country code that does not begin with zero, at most 15
/// digits in all.
fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn basic(account: &str, token: &str) -> Result<HeaderValue, String> {
    let pair = Zeroizing::new(format!("{account}:{token}"));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let value = HeaderValue::from_str(&text);
    let mut value = value.map_err(|error| format!("TWILIO_AUTH_TOKEN: {error}"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn client(uri: &Uri) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String> {
    let connector = HttpsConnectorBuilder::new();
    let connector = if uri.scheme_str() == Some("https") {
        connector
            .with_provider_and_native_roots(ring::default_provider())
            .map_err(|error| format!("the system's CA certificates: {error}"))?
            .https_only()
    } else {
        connector.with_tls_config(without_roots()?).https_or_http()
    };
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE)
        .pool_timer(TokioTimer::new())
        .build(connector.enable_http1().build()))
}

/// TLS configuration without roots, for plain text: the connector needs one all the same.
fn without_roots() -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn warn_of_plain_text(uri: &Uri) {
    if uri.scheme_str() == Some("http") {
        tracing::warn!(
            "TWILIO_BASE_URL is http: the auth token and all codes travel in plain text"
        );
    }
}

/// An error and its sources: the HTTP client's own text says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_with_a_country_are_written_to() {
        for number in [
            "+15551234567",
            "+4915112345678",
            "+2903123",
            "+123456789012345",
        ] {
            assert!(is_e164(number), "{number}");
        }
        for number in [
            "",
            "+",
            "15551234567",
            "+05551234567",
            "+1234567890123456",
            "+1 555 1234567",
            "+1555123456\n",
            "+155512345٦٧",
            "whatsapp:+15551234567",
            "+15551234567,+15551234568",
        ] {
            assert!(!is_e164(number), "{number}");
        }
    }
}
