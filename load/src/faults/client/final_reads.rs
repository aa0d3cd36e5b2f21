//! Reads at the end, when everything is well again: each asks until it is told.

use std::time::Duration;

use sallyport::clock;

use super::Client;
use super::entry::{backup_request, session, totp_request};
use crate::faults::history::{Action, Code, Gain, Outcome};

/// How often a read is repeated that was not answered, a tenth of a second apart.
const PATIENCE: usize = 150;
const PAUSE: Duration = Duration::from_millis(100);

impl Client {
    /// Asks for every session and every password, and logs in completely.
    pub(in crate::faults) async fn read_everything(&mut self) {
        let (sessions, passwords) = {
            let known = self.known();
            (known.sessions.len(), known.passwords.len())
        };
        for number in 0..sessions {
            for _ in 0..PATIENCE {
                if self.ask(number).await {
                    break;
                }
                clock::sleep(PAUSE).await;
            }
        }
        for password in 0..passwords {
            self.log_in_patiently(password).await;
        }
        self.enter_at_last().await;
    }

    /// Logs in with a password until told whether it is right. Returns the challenge, if one is due.
    async fn log_in_patiently(&mut self, password: usize) -> Option<String> {
        for _ in 0..PATIENCE {
            let answered = self.log_in(password, None).await;
            match answered.outcome {
                Outcome::Done(gain) => {
                    let mut known = self.known();
                    (known.password, known.perhaps) = (password, None);
                    known.two_factor = Some(gain == Gain::Challenge);
                    return answered.data["tempToken"].as_str().map(str::to_owned);
                }
                Outcome::Refused(_) => return None,
                _ => clock::sleep(PAUSE).await,
            }
        }
        None
    }

    /// Completes logins: with a code of a step that nobody has used, then with a backup code that was never sent.
    async fn enter_at_last(&mut self) {
        let password = self.known().password;
        for _ in 0..3 {
            let Some(token) = self.log_in_patiently(password).await else {
                return;
            };
            let Some((factor, step, code)) = self.known().next_code(true) else {
                break;
            };
            let action = Action::Verify {
                code: Code::Totp { factor, step },
            };
            let answered = self
                .perform(action, &totp_request(&token, &code, false))
                .await;
            if session(&answered).is_some() {
                break;
            }
        }
        if let Some(token) = self.log_in_patiently(password).await {
            let next = self.known().next_backup_code();
            if let Some((set, number, code)) = next {
                let action = Action::Verify {
                    code: Code::Backup { set, number },
                };
                self.perform(action, &backup_request(&token, &code)).await;
            }
        }
    }
}
