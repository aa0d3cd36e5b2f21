//! A client of one account. Each account has two: its owner, who alone changes password and factors, and a companion,
//! who logs in and out beside it, looks at every session, and tries what must not work any more. So every register of
//! the account has one writer and many readers.

mod companion;
mod credentials;
mod entry;
mod factors;
mod final_reads;
mod sessions;

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use sallyport::clock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::account::{Account, Known};
use super::history::{Action, Gain, History, Operation, Outcome, locked};
use super::random::Random;
use crate::client::{Answer, Client as Connection};
use crate::target::Address;

/// Longest wait for an answer; then the outcome is unknown.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often an operation is repeated whose outcome is not known.
const REPEATS: usize = 8;

/// The client.
pub(super) struct Client {
    account: Arc<Account>,
    /// 0 is the owner, 1 the companion.
    number: usize,
    history: Arc<History>,
    /// One connection to each instance.
    connections: Vec<Connection>,
    random: Random,
}

/// A request of the API.
struct Request {
    method: Method,
    path: String,
    bearer: Option<String>,
    body: Value,
}

impl Request {
    fn post(path: &str, body: Value) -> Self {
        Self::new(Method::POST, path.to_owned(), body)
    }

    fn new(method: Method, path: String, body: Value) -> Self {
        Self {
            method,
            path,
            bearer: None,
            body,
        }
    }

    fn by(mut self, access_token: &str) -> Self {
        self.bearer = Some(access_token.to_owned());
        self
    }
}

/// An answer as the contract lets the client understand it.
struct Answered {
    outcome: Outcome,
    data: Value,
}

impl Client {
    /// A client that asks the instances at `addresses`, in an order that `seed` decides.
    pub(super) fn new(
        account: &Arc<Account>,
        number: usize,
        history: &Arc<History>,
        addresses: &[Arc<Address>],
        seed: u64,
    ) -> Self {
        let connection = |address| Connection::new(Arc::clone(address), None, PATIENCE);
        let purpose = 1 + account.number * 2 + number;
        Self {
            account: Arc::clone(account),
            number,
            history: Arc::clone(history),
            connections: addresses.iter().map(connection).collect(),
            random: Random::new(seed, u64::try_from(purpose).unwrap_or(u64::MAX)),
        }
    }

    /// Takes turns until told to stop.
    pub(super) async fn live(&mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if self.known().user_id.is_none() {
                self.register().await;
            } else if self.number == 0 {
                self.own().await;
            } else {
                self.accompany().await;
            }
            let pause = self.random.between(10, 150);
            clock::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One turn of the owner.
    async fn own(&mut self) {
        if self.known().perhaps.is_some() {
            return self.find_password().await;
        }
        let Some(two_factor) = self.known().two_factor else {
            return self.find_two_factor().await;
        };
        let turn = if two_factor {
            self.random.weighted(&[
                (4, Turn::LogIn),
                (4, Turn::CodeTwice),
                (4, Turn::BackupCode),
                (3, Turn::Device),
                (2, Turn::Generate),
                (2, Turn::Disable),
                (1, Turn::RemoveDevices),
                (5, Turn::ChangePassword),
                (8, Turn::Session),
            ])
        } else {
            self.random.weighted(&[
                (5, Turn::LogIn),
                (5, Turn::Enable),
                (6, Turn::ChangePassword),
                (10, Turn::Session),
            ])
        };
        match turn {
            Turn::LogIn => {
                self.enter().await;
            }
            Turn::CodeTwice => self.send_a_code_twice().await,
            Turn::BackupCode => self.use_backup_code().await,
            Turn::Device => self.use_device().await,
            Turn::Generate => self.generate().await,
            Turn::Disable => self.disable().await,
            Turn::Enable => self.enable().await,
            Turn::RemoveDevices => self.remove_devices().await,
            Turn::ChangePassword => self.change_password().await,
            Turn::Session => self.tend_sessions().await,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        locked(&self.account.known)
    }

    /// Asks one of the instances and records the operation.
    async fn perform(&mut self, action: Action, request: &Request) -> Answered {
        let instance = self.random.index(self.connections.len());
        let invoked = self.history.now();
        let answer = send(&mut self.connections[instance], request).await;
        self.record(action, instance, invoked, &answer)
    }

    /// Asks both instances at once, and records both operations.
    async fn perform_twice(&mut self, action: &Action, requests: [&Request; 2]) -> [Answered; 2] {
        let invoked = self.history.now();
        let (first, second) = self.connections.split_at_mut(1);
        let (first, second) = tokio::join!(
            send(&mut first[0], requests[0]),
            send(&mut second[0], requests[1])
        );
        [(0, first), (1, second)]
            .map(|(instance, answer)| self.record(action.clone(), instance, invoked, &answer))
    }

    /// Asks again, perhaps the other instance, for as long as the outcome is unknown or nothing was done. Returns the last
    /// answer, and whether an earlier one was unknown.
    async fn insist(&mut self, action: &Action, request: &Request) -> (Answered, bool) {
        let mut doubtful = false;
        for _ in 0..REPEATS {
            let answered = self.perform(action.clone(), request).await;
            match answered.outcome {
                Outcome::Done(_) | Outcome::Refused(_) => return (answered, doubtful),
                Outcome::Unknown(_) => doubtful = true,
                Outcome::Unavailable(_) => {}
            }
            let pause = self.random.between(20, 600);
            clock::sleep(Duration::from_millis(pause)).await;
        }
        (self.perform(action.clone(), request).await, doubtful)
    }

    fn record(&self, action: Action, instance: usize, invoked: u64, answer: &Answer) -> Answered {
        let returned = self.history.now();
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let data = body["data"].clone();
        let outcome = match failure(answer, &body) {
            Some(failure) => failure,
            None => Outcome::Done(self.gain(&action, &data)),
        };
        self.history.record(Operation {
            account: self.account.number,
            instance,
            action,
            invoked,
            returned,
            outcome: outcome.clone(),
        });
        Answered { outcome, data }
    }

    fn gain(&self, action: &Action, data: &Value) -> Gain {
        let mut known = self.known();
        match action {
            Action::Login { device: None, .. } => known.signed_in(data, self.number, false),
            Action::Login {
                device: Some(device),
                ..
            } => {
                // Its token rotates; it stays the same device.
                if let Some(token) = data["deviceToken"].as_str() {
                    token.clone_into(&mut known.devices[*device]);
                }
                let mut without = data.clone();
                without["deviceToken"] = Value::Null;
                known.signed_in(&without, self.number, false)
            }
            Action::Register | Action::Verify { .. } => known.signed_in(data, self.number, true),
            Action::Refresh {
                session,
                generation,
            } => known.refreshed(*session, *generation, data),
            _ => Gain::Nothing,
        }
    }
}

/// Turns of an owner.
#[derive(Clone, Copy)]
enum Turn {
    LogIn,
    CodeTwice,
    BackupCode,
    Device,
    Generate,
    Disable,
    Enable,
    RemoveDevices,
    ChangePassword,
    Session,
}

async fn send(connection: &mut Connection, request: &Request) -> Answer {
    let body = match &request.body {
        Value::Null => Bytes::new(),
        body => Bytes::from(body.to_string()),
    };
    let (method, bearer) = (request.method.clone(), request.bearer.as_deref());
    let path = format!("/api{}", request.path);
    connection.exchange(method, &path, bearer, body).await
}

/// Meaning of an answer that is no success.
fn failure(answer: &Answer, body: &Value) -> Option<Outcome> {
    let code = body["code"].as_str().unwrap_or("no code").to_owned();
    match (answer.status, code.as_str()) {
        (200..300, _) => None,
        (0, _) => {
            let reason = String::from_utf8_lossy(&answer.body).into_owned();
            Some(match reason.as_str() {
                "connect" => Outcome::Unavailable(reason),
                _ => Outcome::Unknown(reason),
            })
        }
        (503, "unavailable" | "overloaded") => Some(Outcome::Unavailable(code)),
        (500.., _) => Some(Outcome::Unknown(format!("{} {code}", answer.status))),
        _ => Some(Outcome::Refused(format!("{} {code}", answer.status))),
    }
}

/// Nothing as a body.
fn nothing() -> Value {
    Value::Null
}

/// The body of a request that takes an object and needs nothing in it.
fn empty() -> Value {
    json!({})
}
