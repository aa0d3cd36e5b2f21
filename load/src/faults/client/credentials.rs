//! Changes of the password, and finding out which one holds.

use serde_json::json;

use super::{Client, Request};
use crate::faults::account::password;
use crate::faults::history::{Action, Outcome, SessionNumber};

impl Client {
    pub(super) async fn change_password(&mut self) {
        let Some(by) = self.strong_session().await else {
            return;
        };
        let (from, to, request) = {
            let mut known = self.known();
            let (from, to) = (known.password, known.passwords.len());
            let new = password(self.account.number, to);
            known.passwords.push(new.clone());
            let body = json!({ "currentPassword": known.passwords[from], "newPassword": new });
            let request = Request::post("/auth/password/change", body);
            (from, to, request.by(&known.sessions[by].access))
        };
        let action = Action::ChangePassword { by, from, to };
        let (answered, doubtful) = self.insist(&action, &request).await;
        match answered.outcome {
            Outcome::Done(_) => {
                let mut known = self.known();
                known.password = to;
                known.end_all(Some(by));
            }
            Outcome::Refused(_) if !doubtful => self.weaken(by),
            _ => self.known().perhaps = Some(to),
        }
    }

    /// After a change of unknown outcome: whichever password is right.
    pub(super) async fn find_password(&mut self) {
        let (old, new) = {
            let known = self.known();
            (known.password, known.perhaps.unwrap_or(known.password))
        };
        for candidate in [new, old] {
            let answered = self.log_in(candidate, None).await;
            match answered.outcome {
                Outcome::Done(_) => {
                    let mut known = self.known();
                    (known.password, known.perhaps) = (candidate, None);
                    return;
                }
                Outcome::Refused(_) => {}
                // Later.
                _ => return,
            }
        }
    }

    /// A session that was refused something sensitive is not used for that again.
    pub(super) fn weaken(&self, session: SessionNumber) {
        self.known().sessions[session].strong = false;
    }
}
