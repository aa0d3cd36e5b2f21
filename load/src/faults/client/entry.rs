//! Registration and login.

use super::{Answered, Client, Request};
use crate::faults::history::{Action, Code, Gain, Outcome, SessionNumber};
use serde_json::json;

impl Client {
    /// Registers the account. Both of its clients try; one of them may.
    pub(super) async fn register(&mut self) {
        let body = json!({
            "email": self.account.email(),
            "username": self.account.name,
            "password": self.known().passwords[0],
        });
        let request = Request::post("/auth/register", body);
        let (answered, _) = self.insist(&Action::Register, &request).await;
        if !matches!(answered.outcome, Outcome::Done(_)) && self.known().user_id.is_none() {
            // Somebody else's registration, or one of ours of which nobody told us.
            self.log_in(0, None).await;
        }
    }

    /// Logs in with a password. Does not repeat: what is unknown is forgotten about.
    pub(super) async fn log_in(&mut self, password: usize, device: Option<usize>) -> Answered {
        let request = {
            let known = self.known();
            let mut body = json!({
                "emailOrUsername": self.account.name,
                "password": known.passwords[password],
            });
            if let Some(device) = device {
                body["deviceToken"] = json!(known.devices[device]);
            }
            Request::post("/auth/login", body)
        };
        self.perform(Action::Login { password, device }, &request)
            .await
    }

    /// Logs in completely, with a second factor where one is due.
    pub(super) async fn enter(&mut self) -> Option<SessionNumber> {
        let password = self.known().password;
        let answered = self.log_in(password, None).await;
        match answered.outcome {
            Outcome::Done(Gain::Session { number, .. }) => Some(number),
            Outcome::Done(_) => {
                let token = answered.data["tempToken"].as_str()?.to_owned();
                let (code, request) = self.next_verification(&token, false)?;
                session(&self.perform(Action::Verify { code }, &request).await)
            }
            Outcome::Refused(_) => {
                // Perhaps a change of unknown outcome took effect late.
                let mut known = self.known();
                known.perhaps = Some(known.passwords.len() - 1);
                None
            }
            _ => None,
        }
    }

    /// A session of this client that may do what is sensitive; logs in for it where there is none.
    pub(super) async fn strong_session(&mut self) -> Option<SessionNumber> {
        let found = {
            let known = self.known();
            let live = known.live(self.number);
            live.into_iter()
                .rfind(|number| known.sessions[*number].strong)
        };
        match found {
            Some(found) => Some(found),
            None => self.enter().await,
        }
    }

    /// A request that shows the next code of the authenticator, or a backup code where it has none left.
    pub(super) fn next_verification(&self, token: &str, trust: bool) -> Option<(Code, Request)> {
        let mut known = self.known();
        if let Some((factor, step, code)) = known.next_code(false) {
            let code_of = Code::Totp { factor, step };
            return Some((code_of, totp_request(token, &code, trust)));
        }
        let (set, number, code) = known.next_backup_code()?;
        Some((Code::Backup { set, number }, backup_request(token, &code)))
    }

    /// A challenge for a second factor: its temporary token.
    pub(super) async fn challenge(&mut self) -> Option<String> {
        let password = self.known().password;
        let answered = self.log_in(password, None).await;
        answered.data["tempToken"].as_str().map(str::to_owned)
    }
}

/// The session that an answer brought.
pub(super) fn session(answered: &Answered) -> Option<SessionNumber> {
    match answered.outcome {
        Outcome::Done(Gain::Session { number, .. }) => Some(number),
        _ => None,
    }
}

pub(super) fn totp_request(token: &str, code: &str, trust: bool) -> Request {
    let body = json!({ "tempToken": token, "code": code, "method": "totp", "trustDevice": trust });
    Request::post("/2fa/verify", body)
}

pub(super) fn backup_request(token: &str, code: &str) -> Request {
    let body = json!({ "tempToken": token, "code": code });
    Request::post("/2fa/verify-backup-code", body)
}
