//! The limits of login failures.
//!
//! A place in them is taken *before* the password is looked at and given back when it was right. So each
//! attempt holds its place while it waits for the hash, and no number of parallel ones gets past the
//! limit between counting and comparing. Whoever holds a place when the session is issued was within
//! the limit all the time: there is nothing to check again. Who finds a limit full of attempts that are
//! still in flight waits for them (see `line`): they may succeed.
//!
//! There are two doors. At the outer one the name counts as it was typed, and the address: it needs no
//! account, so whoever is refused there costs no look at any. At the inner one the account counts, by
//! whatever name. Only the outer door's state is shown: what the inner one counts would tell which names
//! belong together.

use std::net::IpAddr;
use std::time::Duration;

use super::limits::{by_address, refuse};
use super::line::{Outlook, Seat};
use super::target::Target;
use super::{Auth, Client, Error};
use crate::clock::{self, Stopwatch};
use crate::config::Limits;
use crate::model::{Id, Network};
use crate::store::{Bucket, Subject, Taken, Verdict};

/// Nobody waits longer for attempts in flight. As long as the hash queue's own deadline, which is what
/// keeps them.
const PATIENCE: Duration = Duration::from_secs(5);
/// The only policy besides `login_address` that anybody sees.
const SHOWN: &str = "login";

/// Places in the limits, held until it is known whether they count.
#[must_use = "it counts, or it is given back"]
#[derive(Default)]
pub(super) struct Attempt {
    outer: Option<Place>,
    inner: Option<Place>,
    /// It came by the lane of a trusted device, which goes around the inner door.
    by_device: bool,
}

/// A place in all buckets of one door.
struct Place {
    taken: Taken,
    seats: Vec<Seat>,
}

/// Why there is no place.
enum NoPlace {
    Refused(Vec<Verdict>),
    Error(Error),
}

impl Auth {
    /// Takes a place at the outer door for a name as it was typed, in its normal form.
    pub(super) async fn knock(&self, client: &Client, form: &str) -> Result<Attempt, Error> {
        let limits = &self.settings.limits;
        if !limits.enabled {
            return Ok(Attempt::default());
        }
        let buckets = outer_buckets(limits, client.address, form);
        self.knock_at(client, &buckets, false).await
    }

    /// Takes a place in the lane of a trusted device. Nobody without the device can fill it, and it fills
    /// nobody else's.
    pub(super) async fn knock_as_device(&self, client: &Client, id: Id) -> Result<Attempt, Error> {
        let limits = &self.settings.limits;
        if !limits.enabled {
            return Ok(Attempt::default());
        }
        let bucket = Bucket {
            policy: SHOWN,
            quota: limits.login_account_address,
            subject: Subject::Text(format!("device:{id}")),
        };
        self.knock_at(client, &[bucket], true).await
    }

    async fn knock_at(
        &self,
        client: &Client,
        buckets: &[Bucket],
        by_device: bool,
    ) -> Result<Attempt, Error> {
        match self.place(buckets).await {
            Ok(place) => Ok(Attempt {
                outer: Some(place),
                inner: None,
                by_device,
            }),
            Err(NoPlace::Refused(verdicts)) => {
                client.asked.record(&refusing(&verdicts));
                refuse(&verdicts).map(|()| Attempt::default())
            }
            Err(NoPlace::Error(error)) => Err(error),
        }
    }

    /// Takes a place at the inner door too. Refused, it gives everything back.
    pub(super) async fn enter(
        &self,
        client: &Client,
        mut attempt: Attempt,
        target: &Target,
    ) -> Result<Attempt, Error> {
        let limits = &self.settings.limits;
        if !limits.enabled || attempt.by_device {
            return Ok(attempt);
        }
        let buckets = inner_buckets(limits, client.address, target);
        let refusal = match self.place(&buckets).await {
            Ok(place) => {
                attempt.inner = Some(place);
                return Ok(attempt);
            }
            Err(NoPlace::Refused(verdicts)) => {
                client.asked.record(&disguised(limits, &verdicts));
                refuse(&verdicts)
            }
            Err(NoPlace::Error(error)) => Err(error),
        };
        self.vacate(attempt).await;
        refusal.map(|()| Attempt::default())
    }

    /// Gives the places back: the attempt was no failure, or it came to no comparison.
    pub(super) async fn give_back(&self, client: &Client, attempt: Attempt) {
        let shown: Vec<Verdict> = attempt.shown().iter().map(with_one_more).collect();
        client.asked.record(&shown);
        self.vacate(attempt).await;
    }

    async fn vacate(&self, Attempt { outer, inner, .. }: Attempt) {
        let both = [outer, inner].into_iter().flatten();
        let given = both.map(|Place { taken, seats }| async {
            self.store.give_back(taken).await;
            drop(seats);
        });
        futures_util::future::join_all(given).await;
    }

    /// Takes a place in all buckets or in none, and waits where those that fill them are still in flight.
    async fn place(&self, buckets: &[Bucket]) -> Result<Place, NoPlace> {
        let watch = Stopwatch::start();
        let mut held = Vec::new();
        loop {
            let seats = self.lines.enter(buckets, std::mem::take(&mut held));
            let taken = self.store.take(buckets).await.map_err(Error::from)?;
            if taken.allowed() {
                return Ok(Place { taken, seats });
            }
            let both = seats.into_iter().zip(&taken.verdicts);
            let (passing, refusing): (Vec<_>, Vec<_>) = both.partition(|(_, said)| said.allowed);
            drop(passing);
            let refusing = refusing.into_iter().map(|(seat, _)| seat).collect();
            let left = PATIENCE.saturating_sub(watch.elapsed());
            let turn = match self.lines.stand_by(refusing) {
                Outlook::Over => return Err(NoPlace::Refused(taken.verdicts)),
                Outlook::Again(_) if left.is_zero() => return Err(NoPlace::impatient()),
                Outlook::Again(seats) => {
                    held = seats;
                    continue;
                }
                Outlook::Wait(turn) => turn,
            };
            tokio::select! {
                turn = turn => match turn {
                    Ok(seat) => held.push(seat),
                    Err(_) => return Err(NoPlace::Refused(taken.verdicts)),
                },
                () = clock::sleep(left) => return Err(NoPlace::impatient()),
            }
        }
    }
}

impl NoPlace {
    fn impatient() -> Self {
        let retry_after = Duration::from_secs(1);
        Self::Error(Error::Overloaded { retry_after })
    }
}

impl Attempt {
    /// Lets the attempt count as a failure.
    pub(super) fn fail(self, client: &Client) {
        client.asked.record(self.shown());
        let both = [self.outer, self.inner].into_iter().flatten();
        both.flat_map(|place| place.seats).for_each(Seat::spend);
    }

    fn shown(&self) -> &[Verdict] {
        let outer = self.outer.as_ref();
        outer.map_or(&[], |place| &place.taken.verdicts)
    }
}

impl From<Error> for NoPlace {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn outer_buckets(limits: &Limits, address: IpAddr, form: &str) -> [Bucket; 2] {
    [
        Bucket {
            policy: SHOWN,
            quota: limits.login_account_address,
            subject: both(address, form),
        },
        Bucket {
            policy: "login_address",
            quota: limits.login_address,
            subject: by_address(address),
        },
    ]
}

fn inner_buckets(limits: &Limits, address: IpAddr, target: &Target) -> [Bucket; 2] {
    [
        Bucket {
            policy: "login_account_address",
            quota: limits.login_account_address,
            subject: both(address, &target.to_string()),
        },
        Bucket {
            policy: "login_account",
            quota: limits.login_account,
            subject: target.subject(),
        },
    ]
}

/// The network comes first: it has no '|', which a name may have.
fn both(address: IpAddr, name: &str) -> Subject {
    Subject::Text(format!("{}|{name}", Network::of(address)))
}

fn refusing(verdicts: &[Verdict]) -> Vec<Verdict> {
    let refusing = verdicts.iter().filter(|verdict| !verdict.allowed);
    refusing.copied().collect()
}

/// What the inner door's refusal looks like from outside: as if the outer one had refused.
fn disguised(limits: &Limits, verdicts: &[Verdict]) -> Vec<Verdict> {
    let longest = refusing(verdicts)
        .into_iter()
        .max_by_key(|said| said.reset_seconds);
    let quota = limits.login_account_address;
    let disguise = |said: Verdict| Verdict {
        policy: SHOWN,
        quota: quota.quota,
        window_seconds: quota.window.as_secs(),
        remaining: 0,
        ..said
    };
    longest.map(disguise).into_iter().collect()
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
    use crate::auth::target::form;
    use crate::model::Identifier;

    const HOME: &str = "192.0.2.7";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn unknown(typed: &str) -> Target {
        Target::called(Identifier::parse_login(typed), typed, None)
    }

    fn inner(address: &str, target: &Target) -> Vec<Subject> {
        let buckets = inner_buckets(&Limits::default(), ip(address), target);
        buckets.into_iter().map(|bucket| bucket.subject).collect()
    }

    fn verdict(policy: &'static str, remaining: u32, allowed: bool) -> Verdict {
        Verdict {
            policy,
            quota: 20,
            window_seconds: 60,
            remaining,
            reset_seconds: 77,
            allowed,
        }
    }

    #[test]
    fn a_failure_counts_for_name_and_address_for_the_account_and_for_the_address() {
        let limits = Limits::default();
        let outer = outer_buckets(&limits, ip(HOME), "username:alice");
        let inner = inner_buckets(&limits, ip(HOME), &Target::of(&alice()));
        let quota = |bucket: Bucket| (bucket.policy, bucket.quota.quota);
        assert_eq!(outer.map(quota), [("login", 5), ("login_address", 50)]);
        assert_eq!(
            inner.map(quota),
            [("login_account_address", 5), ("login_account", 20)]
        );
    }

    #[test]
    fn all_names_of_an_account_share_its_limits() {
        let id = alice().id;
        let called = |name| Target::called(Identifier::parse_login(name), name, Some(id));
        let by_name = inner(HOME, &called("alice"));
        assert_eq!(by_name, inner(HOME, &called("alice@example.com")));
    }

    #[test]
    fn no_name_can_pass_for_another_address() {
        let one = inner(HOME, &unknown("192.0.2.9|x@example.com"));
        let other = inner("192.0.2.9", &unknown("x@example.com"));
        assert!(one.iter().all(|subject| !other.contains(subject)));
        let typed = "192.0.2.9|x@example.com";
        let typed = form(Identifier::parse_login(typed).as_ref(), typed);
        assert_ne!(
            both(ip(HOME), &typed),
            both(ip("192.0.2.9"), "x@example.com")
        );
    }

    #[test]
    fn a_refusal_of_the_account_looks_like_one_of_the_name() {
        let said = [
            verdict("login_account_address", 3, true),
            verdict("login_account", 0, false),
        ];
        let shown = disguised(&Limits::default(), &said);
        let expected = Verdict {
            policy: "login",
            quota: 5,
            window_seconds: 900,
            remaining: 0,
            reset_seconds: 77,
            allowed: false,
        };
        assert_eq!(shown, [expected]);
    }

    #[test]
    fn what_is_given_back_shows_in_the_verdict() {
        assert_eq!(with_one_more(&verdict("login", 0, true)).remaining, 1);
        assert_eq!(with_one_more(&verdict("login", 20, true)).remaining, 20);
    }
}
