//! One kept-alive HTTP/1.1 connection of a client. No pool and no cookies: the client shares the machine
//! with the service it measures, so it does as little as possible.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::route::Route;
use crate::target::Address;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const TOKEN_DELIVERY: HeaderName = HeaderName::from_static("x-token-delivery");
const IN_BODY: HeaderValue = HeaderValue::from_static("body");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// HTTP status; 0 when there was no answer.
    pub(crate) status: u16,
    /// Whether it has a `Retry-After`.
    pub(crate) retry_after: bool,
    /// The body; without an answer the reason in a word: `connect`, `closed` or `timeout`.
    pub(crate) body: Bytes,
}

impl Answer {
    /// 2xx.
    pub(crate) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn none(reason: &'static str) -> Self {
        Self {
            status: 0,
            retry_after: false,
            body: Bytes::from_static(reason.as_bytes()),
        }
    }
}

/// A client with a connection that is made when it is needed.
pub(crate) struct Client {
    address: Arc<Address>,
    connection: Option<SendRequest<Full<Bytes>>>,
    forwarded_for: Option<HeaderValue>,
    patience: Duration,
}

impl Client {
    /// A client of `address` that waits `patience` for an answer. With `forwarded_for` it sends that address in
    /// `X-Forwarded-For`.
    pub(crate) fn new(
        address: Arc<Address>,
        forwarded_for: Option<HeaderValue>,
        patience: Duration,
    ) -> Self {
        Self {
            address,
            connection: None,
            forwarded_for,
            patience,
        }
    }

    /// Asks a route of the API.
    pub(crate) async fn ask(
        &mut self,
        route: Route,
        bearer: Option<&HeaderValue>,
        body: Bytes,
    ) -> Answer {
        let uri = self.address.uri(route).clone();
        let mut request = self.request(route.method(), uri, body);
        let headers = request.headers_mut();
        headers.insert(TOKEN_DELIVERY, IN_BODY);
        if let Some(bearer) = bearer {
            headers.insert(AUTHORIZATION, bearer.clone());
        }
        if let Some(from) = &self.forwarded_for {
            headers.insert(FORWARDED_FOR, from.clone());
        }
        self.send(request).await
    }

    /// Asks any path of the address, for whoever needs more than the routes of the scenarios. `bearer` is an access token.
    pub(crate) async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Bytes,
    ) -> Answer {
        let bearer = bearer.map(|token| HeaderValue::try_from(format!("Bearer {token}")));
        let (Ok(uri), Ok(bearer)) = (Uri::try_from(path), bearer.transpose()) else {
            return Answer::none("malformed");
        };
        let mut request = self.request(method, uri, body);
        let headers = request.headers_mut();
        headers.insert(TOKEN_DELIVERY, IN_BODY);
        if let Some(bearer) = bearer {
            headers.insert(AUTHORIZATION, bearer);
        }
        self.send(request).await
    }

    /// Gets any path of the address, as it stands.
    pub(crate) async fn fetch(&mut self, uri: Uri) -> Answer {
        let request = self.request(Method::GET, uri, Bytes::new());
        self.send(request).await
    }

    fn request(&self, method: Method, uri: Uri, body: Bytes) -> Request<Full<Bytes>> {
        let has_body = !body.is_empty();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(HOST, self.address.host.clone());
        if has_body {
            headers.insert(CONTENT_TYPE, JSON);
        }
        request
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        let patience = self.patience;
        if let Ok(answer) = timeout(patience, self.converse(request)).await {
            return answer;
        }
        self.connection = None;
        Answer::none("timeout")
    }

    async fn converse(&mut self, request: Request<Full<Bytes>>) -> Answer {
        // A connection in use is not kept: dropping this future drops it, too.
        let Some(mut connection) = self.take_connection().await else {
            return Answer::none("connect");
        };
        let answered = async { read(connection.send_request(request).await?).await }.await;
        match answered {
            Ok(answer) => {
                self.connection = Some(connection);
                answer
            }
            Err(_) => Answer::none("closed"),
        }
    }

    /// The kept connection while the service has it open, else a new one.
    async fn take_connection(&mut self) -> Option<SendRequest<Full<Bytes>>> {
        if let Some(mut connection) = self.connection.take()
            && connection.ready().await.is_ok()
        {
            return Some(connection);
        }
        let stream = TcpStream::connect(self.address.socket).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let status = response.status().as_u16();
    let retry_after = response.headers().contains_key(RETRY_AFTER);
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Answer {
        status,
        retry_after,
        body,
    })
}
