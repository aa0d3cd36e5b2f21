//! Rate limits: the general ones, taken before a handler runs. Those of login failures are in `attempt`.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use super::{Auth, Client, Error};
use crate::config::Limits;
use crate::model::{Network, UserId};
use crate::store::{Bucket, Subject, Taken, Verdict};
use crate::telemetry::names;

/// Which general limit a route takes from. (Login failures are counted inside the login.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `register`: by address.
    Register,
    /// `anonymous`: by address.
    Anonymous,
    /// `account`: by account.
    Account(UserId),
    /// `second_factor`: by account.
    SecondFactor(UserId),
    /// `password_change`: by account. Each sends a notice, to an address that nobody may have verified, so
    /// there are as many as there are codes.
    PasswordChange(UserId),
}

/// A place in limits, held until it is known whether it counts.
#[must_use = "it counts, or it is given back"]
pub(super) struct Held(Option<Taken>);

impl Auth {
    /// Takes one from the gate's limit, or refuses. Records the verdict in `client.asked`.
    ///
    /// # Errors
    /// [`Error::RateLimited`]; [`Error::StoreAway`] when nobody can count.
    pub async fn pass(&self, client: &Client, gate: Gate) -> Result<(), Error> {
        let place = self.hold(client, Some(gate)).await?;
        place.settle(client)
    }

    /// Takes a place behind a gate before it is known whether the caller may come in at all.
    pub(super) async fn hold(&self, client: &Client, gate: Option<Gate>) -> Result<Held, Error> {
        let limits = &self.settings.limits;
        let Some(gate) = gate.filter(|_| limits.enabled) else {
            return Ok(Held(None));
        };
        let bucket = gate_bucket(limits, client.address, gate);
        // Boxed: what it needs when Redis has lost its state is far larger than a request.
        Ok(Held(Some(Box::pin(self.store.take(&[bucket])).await?)))
    }

    /// Takes a place for a code that is about to be sent: for the account and for where it goes, in both or
    /// in none. `destination` names it unmistakably; the store keeps a keyed hash of it.
    pub(super) async fn hold_send(&self, id: UserId, destination: &str) -> Result<Held, Error> {
        let limits = &self.settings.limits;
        if !limits.enabled {
            return Ok(Held(None));
        }
        let bucket = |subject| Bucket {
            policy: "code_sends",
            quota: limits.code_sends,
            subject,
        };
        let to = Subject::Text(format!("code:{destination}"));
        let buckets = [bucket(Subject::Account(id)), bucket(to)];
        let mut taken = self.store.take(&buckets).await?;
        taken.verdicts = tightest(&taken.verdicts).into_iter().collect();
        Ok(Held(Some(taken)))
    }

    /// Gives a held place back: the limit was not the caller's to take from.
    pub(super) async fn let_go(&self, place: Held) {
        if let Held(Some(taken)) = place {
            self.store.give_back(taken).await;
        }
    }
}

impl Held {
    /// Whether there was a place: else it is over here, and the refusal shows.
    pub(super) fn admitted(self, client: &Client) -> Result<Self, Error> {
        if self.0.as_ref().is_none_or(Taken::allowed) {
            return Ok(self);
        }
        self.settle(client).map(|()| Self(None))
    }

    /// Lets the place count: the caller comes in, or is refused by the limit.
    pub(super) fn settle(self, client: &Client) -> Result<(), Error> {
        let Self(Some(taken)) = self else {
            return Ok(());
        };
        client.asked.record(&taken.verdicts);
        refuse(&taken.verdicts)
    }
}

fn gate_bucket(limits: &Limits, address: IpAddr, gate: Gate) -> Bucket {
    let (policy, quota, subject) = match gate {
        Gate::Register => ("register", limits.register, by_address(address)),
        Gate::Anonymous => ("anonymous", limits.anonymous, by_address(address)),
        Gate::Account(id) => ("account", limits.account, Subject::Account(id)),
        Gate::SecondFactor(id) => ("second_factor", limits.second_factor, Subject::Account(id)),
        Gate::PasswordChange(id) => ("password_change", limits.code_sends, Subject::Account(id)),
    };
    Bucket {
        policy,
        quota,
        subject,
    }
}

/// Of several verdicts of one policy the one that decides: a refusal, then the one with the fewest left.
fn tightest(verdicts: &[Verdict]) -> Option<Verdict> {
    let order = |said: &&Verdict| (said.allowed, said.remaining, Reverse(said.reset_seconds));
    verdicts.iter().min_by_key(order).copied()
}

pub(super) fn by_address(address: IpAddr) -> Subject {
    Subject::Text(Network::of(address).to_string())
}

/// Refuses when a verdict does, and counts which.
pub(super) fn refuse(verdicts: &[Verdict]) -> Result<(), Error> {
    let refusals = verdicts.iter().filter(|verdict| !verdict.allowed);
    let Some(longest) = refusals.max_by_key(|verdict| verdict.reset_seconds) else {
        return Ok(());
    };
    metrics::counter!(names::LIMIT_REFUSALS, "policy" => longest.policy).increment(1);
    Err(Error::RateLimited {
        retry_after: Duration::from_secs(longest.reset_seconds.max(1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(policy: &'static str, reset_seconds: u64, allowed: bool) -> Verdict {
        Verdict {
            policy,
            quota: 5,
            window_seconds: 900,
            remaining: 0,
            reset_seconds,
            allowed,
        }
    }

    #[test]
    fn of_two_verdicts_the_one_that_decides_is_shown() {
        let left = |remaining, allowed| Verdict {
            remaining,
            ..verdict("code_sends", 900, allowed)
        };
        assert_eq!(
            tightest(&[left(2, true), left(1, true)]),
            Some(left(1, true))
        );
        assert_eq!(
            tightest(&[left(0, true), left(1, false)]),
            Some(left(1, false))
        );
        let both = [
            verdict("code_sends", 30, false),
            verdict("code_sends", 90, false),
        ];
        assert_eq!(tightest(&both), Some(both[1]));
        assert_eq!(tightest(&[]), None);
    }

    #[test]
    fn the_longest_refusal_says_when_to_come_again() {
        let verdicts = [
            verdict("login", 30, false),
            verdict("login_account", 90, false),
            verdict("login_address", 900, true),
        ];
        let refused = refuse(&verdicts);
        assert!(
            matches!(refused, Err(Error::RateLimited { retry_after }) if retry_after.as_secs() == 90)
        );
        assert!(refuse(&verdicts[2..]).is_ok());
        assert!(refuse(&[]).is_ok());
    }
}
