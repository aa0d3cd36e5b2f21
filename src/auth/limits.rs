//! Rate limits: the general ones, taken before a handler runs, and those of login failures.
//!
//! Login failures are taken *before* the password is looked at and given back when it was right. So each
//! attempt holds its place while it waits for the hash, and no number of parallel ones gets past the
//! limit between counting and comparing. Whoever holds a place when the session is issued was within
//! the limit all the time: there is nothing to check again.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::target::Target;
use super::{Auth, Client, Error};
use crate::config::Limits;
use crate::model::UserId;
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
}

/// A place in limits, held until it is known whether it counts.
#[must_use = "it counts, or it is given back"]
pub(super) struct Attempt(Option<Taken>);

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
    pub(super) async fn hold(&self, client: &Client, gate: Option<Gate>) -> Result<Attempt, Error> {
        let limits = &self.settings.limits;
        let Some(gate) = gate.filter(|_| limits.enabled) else {
            return Ok(Attempt(None));
        };
        let bucket = gate_bucket(limits, client.address, gate);
        Ok(Attempt(Some(self.store.take(&[bucket]).await?)))
    }

    /// Gives a held place back: the limit was not the caller's to take from.
    pub(super) async fn let_go(&self, place: Attempt) {
        if let Attempt(Some(taken)) = place {
            self.store.give_back(taken).await;
        }
    }

    /// Takes a place in all limits of login failures, or in none when one of them refuses.
    pub(super) async fn attempt(&self, client: &Client, target: &Target) -> Result<Attempt, Error> {
        let limits = &self.settings.limits;
        if !limits.enabled {
            return Ok(Attempt(None));
        }
        let buckets = login_buckets(limits, client.address, target);
        let taken = self.store.take(&buckets).await?;
        let refusal = refuse(&taken.verdicts);
        if refusal.is_err() {
            client.asked.record(&taken.verdicts);
        }
        refusal.map(|()| Attempt(Some(taken)))
    }

    /// Gives the place back: the attempt was no failure, or it came to no comparison.
    pub(super) async fn give_back(&self, client: &Client, attempt: Attempt) {
        let Attempt(Some(taken)) = attempt else {
            return;
        };
        let given_back: Vec<Verdict> = taken.verdicts.iter().map(with_one_more).collect();
        client.asked.record(&given_back);
        self.store.give_back(taken).await;
    }
}

impl Attempt {
    /// Lets the place count: the caller comes in, or is refused by the limit.
    pub(super) fn settle(self, client: &Client) -> Result<(), Error> {
        let Self(Some(taken)) = self else {
            return Ok(());
        };
        client.asked.record(&taken.verdicts);
        refuse(&taken.verdicts)
    }

    /// Lets the attempt count as a failure.
    pub(super) fn fail(self, client: &Client) {
        if let Self(Some(taken)) = self {
            client.asked.record(&taken.verdicts);
        }
    }
}

fn gate_bucket(limits: &Limits, address: IpAddr, gate: Gate) -> Bucket {
    let (policy, quota, subject) = match gate {
        Gate::Register => ("register", limits.register, by_address(address)),
        Gate::Anonymous => ("anonymous", limits.anonymous, by_address(address)),
        Gate::Account(id) => ("account", limits.account, Subject::Account(id)),
    };
    Bucket {
        policy,
        quota,
        subject,
    }
}

fn login_buckets(limits: &Limits, address: IpAddr, target: &Target) -> [Bucket; 3] {
    // The network comes first: it has no '|', which a name may have.
    let both = Subject::Text(format!("{}|{target}", network(address)));
    [
        Bucket {
            policy: "login",
            quota: limits.login_account_address,
            subject: both,
        },
        Bucket {
            policy: "login_account",
            quota: limits.login_account,
            subject: target.subject(),
        },
        Bucket {
            policy: "login_address",
            quota: limits.login_address,
            subject: by_address(address),
        },
    ]
}

fn by_address(address: IpAddr) -> Subject {
    Subject::Text(network(address))
}

/// Whom an address stands for: itself, or for IPv6 its /64, since every line has one to itself. IPv4 in
/// IPv6 clothes is IPv4.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Refuses when a verdict does, and counts which.
fn refuse(verdicts: &[Verdict]) -> Result<(), Error> {
    let refusals = verdicts.iter().filter(|verdict| !verdict.allowed);
    let Some(longest) = refusals.max_by_key(|verdict| verdict.reset_seconds) else {
        return Ok(());
    };
    metrics::counter!(names::LIMIT_REFUSALS, "policy" => longest.policy).increment(1);
    Err(Error::RateLimited {
        retry_after: Duration::from_secs(longest.reset_seconds.max(1)),
    })
}

/// A verdict as it stands after what was taken is given back.
fn with_one_more(verdict: &Verdict) -> Verdict {
    Verdict {
        remaining: (verdict.remaining + 1).min(verdict.quota),
        ..*verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fixtures::alice;
    use crate::model::Identifier;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn unknown(typed: &str) -> Target {
        Target::called(Identifier::parse_login(typed), typed, None)
    }

    fn subjects(address: &str, target: &Target) -> Vec<Subject> {
        let buckets = login_buckets(&Limits::default(), ip(address), target);
        buckets.into_iter().map(|bucket| bucket.subject).collect()
    }

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
    fn ipv6_counts_by_its_64_and_mapped_ipv4_as_ipv4() {
        assert_eq!(network(ip("192.0.2.7")), "192.0.2.7");
        assert_eq!(network(ip("::ffff:192.0.2.7")), "192.0.2.7");
        let line = network(ip("2001:db8:1:2::1"));
        assert_eq!(line, "2001:db8:1:2::/64");
        assert_eq!(network(ip("2001:db8:1:2:ffff::9")), line);
        assert_ne!(network(ip("2001:db8:1:3::1")), line);
    }

    #[test]
    fn a_failure_counts_for_both_together_the_account_and_the_address() {
        let target = Target::of(&alice());
        let buckets = login_buckets(&Limits::default(), ip("192.0.2.7"), &target);
        let quotas = buckets.map(|bucket| (bucket.policy, bucket.quota.quota));
        assert_eq!(
            quotas,
            [("login", 5), ("login_account", 20), ("login_address", 50)]
        );
    }

    #[test]
    fn all_names_of_an_account_share_its_limits() {
        let id = alice().id;
        let called = |name| Target::called(Identifier::parse_login(name), name, Some(id));
        let by_name = subjects("192.0.2.7", &called("alice"));
        assert_eq!(by_name, subjects("192.0.2.7", &called("alice@example.com")));
    }

    #[test]
    fn no_name_can_pass_for_another_address() {
        let one = subjects("192.0.2.7", &unknown("192.0.2.9|x@example.com"));
        let other = subjects("192.0.2.9", &unknown("x@example.com"));
        assert!(one.iter().all(|subject| !other.contains(subject)));
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

    #[test]
    fn what_is_given_back_shows_in_the_verdict() {
        assert_eq!(with_one_more(&verdict("login", 0, true)).remaining, 1);
        let mut fresh = verdict("login", 0, true);
        fresh.remaining = 5;
        assert_eq!(with_one_more(&fresh).remaining, 5);
    }
}
