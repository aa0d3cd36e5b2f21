//! The authenticator, backup codes and trusted devices of an account.

use hyper::Method;
use serde_json::{Value, json};

use super::entry::{backup_request, session, totp_request};
use super::{Client, Request, empty, nothing};
use crate::faults::account::Factor;
use crate::faults::history::{Action, Code, Gain, Outcome};

impl Client {
    /// Sets an authenticator up and confirms it.
    pub(super) async fn enable(&mut self) {
        let Some(by) = self.strong_session().await else {
            return;
        };
        let access = self.known().sessions[by].access.clone();
        // Proposals live in Redis alone and prove nothing, so they are no part of the history.
        let instance = self.random.index(self.connections.len());
        let request = Request::post("/2fa/totp/setup", empty()).by(&access);
        let answer = super::send(&mut self.connections[instance], &request).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some((action, request)) = self.confirmation(&body["data"], &access) else {
            if (400..500).contains(&answer.status) {
                self.weaken(by);
            }
            return;
        };
        let (answered, doubtful) = self.insist(&action, &request).await;
        let mut known = self.known();
        match answered.outcome {
            Outcome::Done(_) => known.two_factor = Some(true),
            Outcome::Refused(_) if !doubtful => {
                known.codes = None;
                known.sessions[by].strong = false;
            }
            _ => known.two_factor = None,
        }
    }

    /// Keeps the secret and the backup codes of a proposal.
    fn confirmation(&self, data: &Value, access: &str) -> Option<(Action, Request)> {
        let codes = data["backupCodes"].as_array()?;
        let codes = codes
            .iter()
            .filter_map(|code| code.as_str().map(str::to_owned))
            .collect();
        let factor = Factor::new(data["secret"].as_str()?)?;
        let mut known = self.known();
        known.factors.push(factor);
        known.sets.push(codes);
        let set = known.sets.len() - 1;
        known.codes = Some((set, 0));
        let (factor, _, code) = known.next_code(false)?;
        let request = Request::post("/2fa/totp/verify-setup", json!({ "code": code })).by(access);
        Some((Action::Enable { factor, set }, request))
    }

    /// After an outcome that is not known: whether a login asks for a second factor.
    pub(super) async fn find_two_factor(&mut self) {
        let password = self.known().password;
        let answered = self.log_in(password, None).await;
        let mut known = self.known();
        match answered.outcome {
            Outcome::Done(Gain::Challenge) => known.two_factor = Some(true),
            Outcome::Done(_) => {
                known.two_factor = Some(false);
                known.codes = None;
            }
            _ => {}
        }
    }

    pub(super) async fn disable(&mut self) {
        let Some(by) = self.strong_session().await else {
            return;
        };
        let access = self.known().sessions[by].access.clone();
        let request = Request::new(Method::DELETE, "/2fa/totp".to_owned(), nothing()).by(&access);
        let (answered, doubtful) = self.insist(&Action::Disable, &request).await;
        let mut known = self.known();
        match answered.outcome {
            Outcome::Done(_) => {
                known.two_factor = Some(false);
                known.codes = None;
            }
            Outcome::Refused(_) if !doubtful => known.sessions[by].strong = false,
            _ => known.two_factor = None,
        }
    }

    pub(super) async fn generate(&mut self) {
        let Some(by) = self.strong_session().await else {
            return;
        };
        let set = self.known().sets.len();
        let access = self.known().sessions[by].access.clone();
        let request = Request::post("/2fa/backup-codes/generate", empty()).by(&access);
        // Not repeated: each answer brings codes of its own, and those of an answer that was lost are lost.
        let answered = self.perform(Action::Generate { set }, &request).await;
        let codes = answered.data["backupCodes"].as_array();
        let codes = codes.map(|codes| {
            let texts = codes
                .iter()
                .filter_map(|code| code.as_str().map(str::to_owned));
            texts.collect::<Vec<_>>()
        });
        let mut known = self.known();
        known.sets.push(codes.unwrap_or_default());
        match answered.outcome {
            Outcome::Done(_) => known.codes = Some((set, 0)),
            Outcome::Unknown(_) => known.codes = None,
            Outcome::Refused(_) => known.sessions[by].strong = false,
            Outcome::Unavailable(_) => {}
        }
    }

    /// Two logins show one code at once, to one instance each.
    pub(super) async fn send_a_code_twice(&mut self) {
        let (Some(first), Some(second)) = (self.challenge().await, self.challenge().await) else {
            return;
        };
        let backup = self.random.chance(30);
        let (code, requests) = {
            let mut known = self.known();
            if backup && let Some((set, number, text)) = known.next_backup_code() {
                let requests = [&first, &second].map(|token| backup_request(token, &text));
                (Code::Backup { set, number }, requests)
            } else if let Some((factor, step, text)) = known.next_code(false) {
                let requests = [&first, &second].map(|token| totp_request(token, &text, false));
                (Code::Totp { factor, step }, requests)
            } else {
                return;
            }
        };
        let [one, two] = &requests;
        self.perform_twice(&Action::Verify { code }, [one, two])
            .await;
        // Once more, later, with a challenge of its own.
        if let Some(token) = self.challenge().await {
            let mut request = requests
                .into_iter()
                .next()
                .unwrap_or_else(|| Request::post("", empty()));
            request.body["tempToken"] = json!(token);
            self.perform(Action::Verify { code }, &request).await;
        }
    }

    /// Logs in with a backup code, and tries it again.
    pub(super) async fn use_backup_code(&mut self) {
        let Some(token) = self.challenge().await else {
            return;
        };
        let next = self.known().next_backup_code();
        let Some((set, number, text)) = next else {
            return self.generate().await;
        };
        let code = Code::Backup { set, number };
        let request = backup_request(&token, &text);
        let answered = self.perform(Action::Verify { code }, &request).await;
        if session(&answered).is_some()
            && let Some(token) = self.challenge().await
        {
            let request = backup_request(&token, &text);
            self.perform(Action::Verify { code }, &request).await;
        }
    }

    /// Logs in as the newest trusted device; where there is none, trusts one.
    pub(super) async fn use_device(&mut self) {
        let (password, devices) = {
            let known = self.known();
            (known.password, known.devices.len())
        };
        if devices > 0 && self.random.chance(70) {
            let device = Some(devices - 1);
            let action = Action::Login { password, device };
            let body = json!({
                "emailOrUsername": self.account.name,
                "password": self.known().passwords[password],
                "deviceToken": self.known().devices[devices - 1],
            });
            self.insist(&action, &Request::post("/auth/login", body))
                .await;
            return;
        }
        if let Some(token) = self.challenge().await
            && let Some((code, request)) = self.next_verification(&token, true)
        {
            self.perform(Action::Verify { code }, &request).await;
        }
    }

    pub(super) async fn remove_devices(&mut self) {
        let Some(by) = self.strong_session().await else {
            return;
        };
        let access = self.known().sessions[by].access.clone();
        let request =
            Request::new(Method::DELETE, "/2fa/devices".to_owned(), nothing()).by(&access);
        self.insist(&Action::RemoveDevices, &request).await;
    }
}
