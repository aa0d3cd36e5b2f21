//! The whole service in this process, as its clients see it: a real listener over a lab's stores.

mod app;

pub use app::{App, temp_token, texts};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sallyport::auth::{Auth, Settings};
use sallyport::config;
use sallyport::crypto::{HashPool, Keys};
use sallyport::http::Dependencies;
use sallyport::outbound::Outbound;
use sallyport::store::Store;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::lab::Lab;

/// A password that the rules accept.
pub const PASSWORD: &str = "SecurePass123!";

/// A running service.
pub struct House {
    pub store: Store,
    pub public: SocketAddr,
    pub keys: Keys,
    pub pool: HashPool,
    http: Client<HttpConnector, Full<Bytes>>,
    stop: CancellationToken,
}

/// How a test wants the service.
#[derive(Clone)]
pub struct Wishes {
    /// Whether letters are carried.
    pub carries: bool,
    pub limits: config::Limits,
    pub tokens: config::Tokens,
    pub second_factors: config::SecondFactors,
    pub outbound: config::Outbound,
    pub http: config::Http,
    pub hashing: Option<config::Hashing>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            carries: true,
            limits: config::Limits::default(),
            tokens: config::Tokens::default(),
            second_factors: config::SecondFactors::default(),
            outbound: config::Outbound::default(),
            http: config::Http::default(),
            hashing: None,
        }
    }
}

impl Wishes {
    /// What has no provider stays in the house, as in dev mode.
    pub fn with_outbox(mut self) -> Self {
        self.outbound.local_outbox = true;
        self
    }

    /// Limits so wide that they are not in the way.
    pub fn unlimited() -> Self {
        Self {
            limits: config::Limits {
                enabled: false,
                ..config::Limits::default()
            },
            ..Self::default()
        }
    }
}

/// Argon2 at its cheapest: what is tested is not its cost.
pub fn cheap_hashing() -> config::Hashing {
    config::Hashing {
        memory_kib: 64,
        iterations: 1,
        ..config::Hashing::default()
    }
}

impl House {
    pub async fn open(lab: &Lab, wishes: Wishes) -> Self {
        let folder = crate::stores::own_folder();
        let path = folder.path().join("keys.json");
        Keys::generate(&path, lab.clock.now()).expect("keys");
        let keys = Keys::load(&path).expect("keys");
        Self::open_with_keys(lab, wishes, keys).await
    }

    /// A second instance over the same stores must have the same keys.
    pub async fn open_with_keys(lab: &Lab, wishes: Wishes, keys: Keys) -> Self {
        let store = lab.running().await;
        let pool = HashPool::start(&wishes.hashing.unwrap_or_else(cheap_hashing)).expect("pool");
        let settings = Settings {
            tokens: wishes.tokens.clone(),
            second_factors: wishes.second_factors,
            limits: wishes.limits,
        };
        let outbound = Outbound::new(&wishes.outbound).expect("outbound");
        let auth = Auth::new(
            store.clone(),
            pool.clone(),
            &keys,
            Arc::new(outbound),
            lab.clock.clone(),
            settings,
        );
        let listener = || TcpListener::bind("127.0.0.1:0");
        let (public, admin) = (
            listener().await.expect("listener"),
            listener().await.expect("listener"),
        );
        let stop = CancellationToken::new();
        let house = Self {
            store,
            public: public.local_addr().expect("address"),
            http: Client::builder(TokioExecutor::new()).build_http(),
            stop: stop.clone(),
            keys,
            pool,
        };
        let auth = Arc::new(auth);
        if wishes.carries {
            tokio::spawn(Arc::clone(&auth).carry_letters(stop.clone()));
        }
        let dependencies = Dependencies {
            auth,
            settings: wishes.http,
            clock: lab.clock.clone(),
            metrics: Arc::new(String::new),
            csrf_key: *house.keys.derive("csrf"),
            version: "test",
        };
        tokio::spawn(sallyport::http::serve(dependencies, public, admin, stop));
        house
    }

    /// Asks, with any headers.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        self.ask_at(self.public, method, path, headers, body).await
    }

    pub async fn ask_at(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("request");
        let response = self.http.request(request).await.expect("response");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into(),
        }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(path, body, &[]).await
    }

    pub async fn post_as(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.ask(Method::POST, path, &all, Bytes::from(body.to_string()))
            .await
    }

    pub async fn get_as(&self, path: &str, access_token: &str) -> Answer {
        let bearer = format!("Bearer {access_token}");
        self.ask(
            Method::GET,
            path,
            &[("authorization", &bearer)],
            Bytes::new(),
        )
        .await
    }

    /// Registers and keeps both tokens, as a native client does.
    pub async fn register(&self, name: &str) -> Member {
        let answer = self.try_register(name).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        Member::of(&answer)
    }

    pub async fn try_register(&self, name: &str) -> Answer {
        let body = json!({
            "email": format!("{name}@example.com"), "username": name, "password": PASSWORD,
        });
        self.post_as("/api/auth/register", &body, &[("x-token-delivery", "body")])
            .await
    }

    pub async fn login(&self, name: &str) -> Member {
        let answer = self.try_login(name, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        Member::of(&answer)
    }

    pub async fn try_login(&self, name: &str, password: &str) -> Answer {
        let body = json!({ "emailOrUsername": name, "password": password });
        self.post_as("/api/auth/login", &body, &[("x-token-delivery", "body")])
            .await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        let body = json!({ "refreshToken": token });
        self.post_as("/api/auth/refresh", &body, &[("x-token-delivery", "body")])
            .await
    }

    pub async fn me(&self, member: &Member) -> StatusCode {
        self.get_as("/api/auth/me", &member.access).await.status
    }

    pub async fn close(self) {
        self.stop.cancel();
        self.store.close(Duration::from_secs(10)).await;
    }
}

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct Member {
    pub access: String,
    pub refresh: String,
}

impl Member {
    pub fn of(answer: &Answer) -> Self {
        let data = &answer.json()["data"];
        Self {
            access: data["accessToken"]
                .as_str()
                .expect("access token")
                .to_owned(),
            refresh: data["refreshToken"]
                .as_str()
                .expect("refresh token")
                .to_owned(),
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// The problem's code.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text
        );
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}
