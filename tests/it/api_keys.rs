//! API keys as their owners and the programs that use them meet them.

mod bounds;
mod format;
mod limits;
mod owned;
mod reports;
mod stores_away;
mod usage;
mod used;

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Anonymous, Answer, LoggedIn};

/// A key that was made: its id and its text.
struct Key {
    id: String,
    text: String,
}

impl Key {
    fn of(answer: &Answer) -> Self {
        Self {
            id: answer.data("id"),
            text: answer.data("apiKey"),
        }
    }

    /// Makes one with these members of the body beside its name.
    async fn with(owner: &LoggedIn, members: Value) -> Self {
        Self::of(&try_make(owner, members).await.ok())
    }

    /// Makes one with these scopes.
    async fn scoped(owner: &LoggedIn, scopes: &[&str]) -> Self {
        Self::with(owner, json!({ "scopes": scopes })).await
    }

    /// Asks for `"METHOD /path"` with the key.
    async fn send(&self, client: &Anonymous, route: &str) -> Answer {
        self.send_body(client, route, None).await
    }

    async fn send_body(&self, client: &Anonymous, route: &str, body: Option<&Value>) -> Answer {
        client.send(route, &[("x-api-key", &self.text)], body).await
    }

    /// Status of `GET /auth/me` with the key.
    async fn me(&self, client: &Anonymous) -> u16 {
        self.send(client, "GET /auth/me").await.status.as_u16()
    }

    /// The key as its owner sees it.
    async fn shown_to(&self, owner: &LoggedIn) -> Value {
        let route = format!("GET /api-keys/{}", self.id);
        owner.send(&route, None).await.ok().json()["data"].clone()
    }

    /// Asks for something about the key as its owner: `"POST /revoke"`, or `"DELETE "`.
    async fn manage(&self, owner: &LoggedIn, act: &str, body: Option<&Value>) -> Answer {
        let (method, rest) = act.split_once(' ').expect("method and rest");
        let route = format!("{method} /api-keys/{}{rest}", self.id);
        owner.send(&route, body).await
    }

    /// Rotates, and returns the new one.
    async fn rotate(&self, owner: &LoggedIn, overlap_seconds: u32) -> Answer {
        let body = json!({ "overlapSeconds": overlap_seconds });
        self.manage(owner, "POST /rotate", Some(&body)).await
    }
}

async fn try_make(owner: &LoggedIn, mut members: Value) -> Answer {
    if members.get("name").is_none() {
        members["name"] = "build server".into();
    }
    owner.send("POST /api-keys", Some(&members)).await
}

/// The caller's keys, as listed.
async fn listed(owner: &LoggedIn) -> Vec<Value> {
    let list = owner.send("GET /api-keys", None).await.ok();
    list.json()["data"]
        .as_array()
        .expect("a bare array")
        .clone()
}

/// Status of `GET /auth/me` with any headers.
async fn me_with(client: &Anonymous, headers: &[(&str, &str)]) -> Answer {
    client
        .ask(Method::GET, "/api/auth/me", headers, bytes::Bytes::new())
        .await
}
