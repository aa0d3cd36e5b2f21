//! Clients by what they have shown: nothing, a password where a second factor is due, all that is asked.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::Answer;

/// A password that the rules accept.
pub const PASSWORD: &str = "SecurePass123!";
/// A browser's `User-Agent`.
pub const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// The header of clients that keep no cookies.
const TOKENS_IN_BODY: (&str, &str) = ("x-token-delivery", "body");

/// A client that has shown nothing.
#[derive(Clone, Debug)]
pub struct Anonymous {
    pub address: SocketAddr,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    headers: Vec<(&'static str, String)>,
}

/// A client that showed a password, and owes a second factor.
#[derive(Clone, Debug)]
pub struct HalfLoggedIn {
    client: Anonymous,
    pub temp_token: String,
}

/// A client with both tokens, as one that keeps no cookies has them.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    client: Anonymous,
    pub access: String,
    pub refresh: String,
}

impl Anonymous {
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            http: legacy::Client::builder(TokioExecutor::new()).build_http(),
            headers: Vec::new(),
        }
    }

    /// The same client with a header that goes with every request.
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name, value.to_owned()));
        client
    }

    /// The same client at another address; the server must trust 127.0.0.1 as a proxy.
    pub fn from(&self, address: &str) -> Self {
        self.with("x-forwarded-for", address)
    }

    /// Asks for an absolute path, with any headers.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let address = self.address;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{path}"));
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).expect("request");
        let response = self.http.request(request).await.expect("response");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into(),
            client: self.clone(),
        }
    }

    /// Asks for `"METHOD /path"` below the base path.
    pub async fn send(
        &self,
        route: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let (method, path) = route.split_once(' ').expect("method and path");
        self.send_absolute(&format!("{method} /api{path}"), headers, body)
            .await
    }

    /// Asks for `"METHOD /path"`, wherever it is.
    pub async fn send_absolute(
        &self,
        route: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let (method, path) = route.split_once(' ').expect("method and path");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut all = headers.to_vec();
        if body.is_some() {
            all.push(("content-type", "application/json"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.ask(method, path, &all, body.into()).await
    }

    /// Asks as a client that keeps no cookies.
    pub async fn in_body(&self, route: &str, body: &Value) -> Answer {
        self.send(route, &[TOKENS_IN_BODY], Some(body)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(path, body, &[]).await
    }

    pub async fn post_as(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        self.send_absolute(&format!("POST {path}"), headers, Some(body))
            .await
    }

    pub async fn fetch(&self, path: &str, access_token: &str) -> Answer {
        let bearer = format!("Bearer {access_token}");
        let headers = [("authorization", bearer.as_str())];
        self.ask(Method::GET, path, &headers, Bytes::new()).await
    }

    /// Registers and keeps both tokens, as a native client does.
    pub async fn register(&self, name: &str) -> LoggedIn {
        let answer = self.try_register(name).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        LoggedIn::of(&answer)
    }

    pub async fn try_register(&self, name: &str) -> Answer {
        self.try_register_with(&format!("{name}@example.com"), name)
            .await
    }

    pub async fn try_register_with(&self, email: &str, username: &str) -> Answer {
        let body = json!({ "email": email, "username": username, "password": PASSWORD });
        self.in_body("POST /auth/register", &body).await
    }

    /// Logs in where no second factor is due.
    pub async fn login(&self, name: &str) -> LoggedIn {
        let answer = self.try_login(name, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        LoggedIn::of(&answer)
    }

    /// Logs in with the password where a second factor is due.
    pub async fn half_login(&self, name: &str) -> HalfLoggedIn {
        HalfLoggedIn::of(&self.try_login(name, PASSWORD).await)
    }

    pub async fn try_login(&self, name: &str, password: &str) -> Answer {
        let body = json!({ "emailOrUsername": name, "password": password });
        self.in_body("POST /auth/login", &body).await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        let body = json!({ "refreshToken": token });
        self.in_body("POST /auth/refresh", &body).await
    }

    /// The status of `GET /auth/me` at this server, whichever one gave the token.
    pub async fn me(&self, member: &LoggedIn) -> StatusCode {
        self.fetch("/api/auth/me", &member.access).await.status
    }
}

impl HalfLoggedIn {
    /// The client that a login's answer makes.
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let data = &answer.json()["data"];
        assert_eq!(data["requiresTwoFactor"], true, "{}", answer.text);
        assert!(answer.headers.get("set-cookie").is_none(), "no session yet");
        Self {
            client: answer.client.clone(),
            temp_token: answer.data("tempToken"),
        }
    }

    /// The same challenge, presented by another client.
    pub fn stolen_by(&self, client: &Anonymous) -> Self {
        Self {
            client: client.clone(),
            temp_token: self.temp_token.clone(),
        }
    }

    /// Sends the temp token with other members of a body.
    pub async fn send(&self, route: &str, members: Value) -> Answer {
        let mut body = members;
        body["tempToken"] = self.temp_token.clone().into();
        self.client.in_body(route, &body).await
    }

    /// Shows a code of an app, or one that was sent.
    pub async fn verify(&self, code: &str) -> Answer {
        self.send("POST /2fa/verify", json!({ "code": code })).await
    }

    /// Shows a backup code.
    pub async fn verify_backup_code(&self, code: &str) -> Answer {
        self.send("POST /2fa/verify-backup-code", json!({ "code": code }))
            .await
    }

    /// Asks for a code by SMS or e-mail.
    pub async fn send_code(&self, method: &str) -> Answer {
        self.send("POST /2fa/resend", json!({ "method": method }))
            .await
    }
}

impl LoggedIn {
    /// The client that an answer with both tokens makes.
    pub fn of(answer: &Answer) -> Self {
        Self {
            client: answer.client.clone(),
            access: answer.data("accessToken"),
            refresh: answer.data("refreshToken"),
        }
    }

    /// The same tokens, presented by another client.
    pub fn through(&self, client: &Anonymous) -> Self {
        Self {
            client: client.clone(),
            ..self.clone()
        }
    }

    /// The client without its tokens.
    pub fn anonymous(&self) -> &Anonymous {
        &self.client
    }

    /// Asks for `"METHOD /path"` below the base path with the access token.
    pub async fn send(&self, route: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {}", self.access);
        let headers = [("authorization", bearer.as_str())];
        self.client.send(route, &headers, body).await
    }

    /// Proves again who this is, and goes on with the new access token.
    pub async fn reauthenticate(&self, proof: &Value) -> Self {
        let proven = self.send("POST /auth/reauthenticate", Some(proof)).await;
        assert_eq!(proven.status, StatusCode::OK, "{}", proven.text);
        Self {
            access: proven.data("accessToken"),
            ..self.clone()
        }
    }

    pub async fn change_password(&self, from: &str, to: &str) -> Answer {
        let body = json!({ "currentPassword": from, "newPassword": to });
        self.send("POST /auth/password/change", Some(&body)).await
    }

    /// Its account's sessions, as listed.
    pub async fn sessions(&self) -> Vec<Value> {
        let listed = self.send("GET /auth/sessions", None).await;
        assert_eq!(listed.status, StatusCode::OK, "{}", listed.text);
        let sessions = &listed.json()["data"]["sessions"];
        sessions.as_array().expect("a list").clone()
    }

    /// Ends its own session.
    pub async fn logout(&self) -> Answer {
        let body = json!({ "refreshToken": self.refresh });
        self.client.post("/api/auth/logout", &body).await
    }
}
