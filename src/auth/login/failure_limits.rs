//! Limits of login failures.
//!
//! One is reserved in them *before* the password is looked at and released when it was right. So each attempt
//! holds its reservation while it waits for the hash, and no number of parallel ones gets past the limit between
//! counting and comparing. An attempt that still holds its reservation when the session is issued was within the
//! limit all the time: there is nothing to check again. An attempt that finds a limit full of others in flight
//! waits for them (see `core::limits::in_flight`): they may succeed.
//!
//! There are two pairs of limits. The first counts the identifier as it was typed, and the address: it needs no
//! account, so a refusal there costs no look at any. The second counts the account, by whatever identifier.
//! Only the first one's state is shown: the second one's would tell which identifiers belong together.

use std::net::IpAddr;
use std::time::Duration;

use super::subject::LoginSubject;
use crate::clock::{self, Stopwatch};
use crate::config::Limits;
use crate::core::limits::in_flight::{AfterRefusal, InFlightGuard};
use crate::core::limits::{by_address, refuse};
use crate::core::{Client, Core, Error};
use crate::model::{Id, Network};
use crate::store::{Bucket, Subject, Taken, Verdict};

/// Longest wait for attempts in flight. As long as the hash queue's own deadline, which is what keeps them.
const PATIENCE: Duration = Duration::from_secs(5);
/// The only policy besides `login_address` that is shown.
const SHOWN: &str = "login";

/// Reservations in the limits, held until it is known whether they count.
#[must_use = "it counts, or it is released"]
#[derive(Default)]
pub(super) struct FailureReservation {
    identifier: Option<Reservation>,
    account: Option<Reservation>,
    /// A trusted device has a limit of its own instead of the account's.
    is_trusted_device: bool,
}

/// One reserved in each of some buckets.
struct Reservation {
    taken: Taken,
    guards: Vec<InFlightGuard>,
}

/// Reason why nothing is reserved.
enum NotReserved {
    Refused(Vec<Verdict>),
    Error(Error),
}

/// Reserves by an identifier as it was typed, in its normal form, and by address.
///
/// # Errors
/// [`Error::RateLimited`], [`Error::Overloaded`], [`Error::StoreAway`].
pub(super) async fn reserve_by_identifier(
    core: &Core,
    client: &Client,
    identifier: &str,
) -> Result<FailureReservation, Error> {
    let limits = &core.settings.limits;
    if !limits.enabled {
        return Ok(FailureReservation::default());
    }
    let buckets = identifier_buckets(limits, client.address, identifier);
    reserve_shown(core, client, &buckets, false).await
}

/// Reserves in the limit of a trusted device. No client without the device can fill it, and it fills no other.
///
/// # Errors
/// As [`reserve_by_identifier`].
pub(super) async fn reserve_by_device(
    core: &Core,
    client: &Client,
    id: Id,
) -> Result<FailureReservation, Error> {
    let limits = &core.settings.limits;
    if !limits.enabled {
        return Ok(FailureReservation::default());
    }
    let bucket = Bucket {
        policy: SHOWN,
        quota: limits.login_account_address,
        subject: Subject::Text(format!("device:{id}")),
    };
    reserve_shown(core, client, &[bucket], true).await
}

async fn reserve_shown(
    core: &Core,
    client: &Client,
    buckets: &[Bucket],
    is_trusted_device: bool,
) -> Result<FailureReservation, Error> {
    match reserve(core, buckets).await {
        Ok(reservation) => Ok(FailureReservation {
            identifier: Some(reservation),
            account: None,
            is_trusted_device,
        }),
        Err(NotReserved::Refused(verdicts)) => {
            client.verdicts.record(&refusing(&verdicts));
            refuse(&verdicts).map(|()| FailureReservation::default())
        }
        Err(NotReserved::Error(error)) => Err(error),
    }
}

/// Reserves by account too. Refused, it releases everything.
///
/// # Errors
/// As [`reserve_by_identifier`].
pub(super) async fn reserve_by_account(
    core: &Core,
    client: &Client,
    mut held: FailureReservation,
    subject: &LoginSubject,
) -> Result<FailureReservation, Error> {
    let limits = &core.settings.limits;
    if !limits.enabled || held.is_trusted_device {
        return Ok(held);
    }
    let buckets = account_buckets(limits, client.address, subject);
    let refusal = match reserve(core, &buckets).await {
        Ok(reservation) => {
            held.account = Some(reservation);
            return Ok(held);
        }
        Err(NotReserved::Refused(verdicts)) => {
            client.verdicts.record(&disguised(limits, &verdicts));
            refuse(&verdicts)
        }
        Err(NotReserved::Error(error)) => Err(error),
    };
    give_back(core, held).await;
    refusal.map(|()| FailureReservation::default())
}

/// Releases the reservations: the attempt was no failure, or it came to no comparison.
pub(super) async fn release(core: &Core, client: &Client, held: FailureReservation) {
    let shown: Vec<Verdict> = held.shown().iter().map(with_one_more).collect();
    client.verdicts.record(&shown);
    give_back(core, held).await;
}

async fn give_back(core: &Core, held: FailureReservation) {
    let both = [held.identifier, held.account].into_iter().flatten();
    let given = both.map(|Reservation { taken, guards }| async {
        core.store.give_back(taken).await;
        drop(guards);
    });
    futures_util::future::join_all(given).await;
}

/// Reserves in all buckets or in none, and waits where the attempts that fill them are still in flight.
async fn reserve(core: &Core, buckets: &[Bucket]) -> Result<Reservation, NotReserved> {
    let watch = Stopwatch::start();
    let mut held = Vec::new();
    loop {
        let guards = core
            .login_attempts
            .begin(buckets, std::mem::take(&mut held));
        let taken = core.store.take(buckets).await.map_err(Error::from)?;
        if taken.allowed() {
            return Ok(Reservation { taken, guards });
        }
        let both = guards.into_iter().zip(&taken.verdicts);
        let (passing, refusing): (Vec<_>, Vec<_>) = both.partition(|(_, said)| said.allowed);
        drop(passing);
        let refusing = refusing.into_iter().map(|(guard, _)| guard).collect();
        let left = PATIENCE.saturating_sub(watch.elapsed());
        let turn = match core.login_attempts.after_refusal(refusing) {
            AfterRefusal::Over => return Err(NotReserved::Refused(taken.verdicts)),
            AfterRefusal::AskAgain(_) if left.is_zero() => return Err(NotReserved::out_of_time()),
            AfterRefusal::AskAgain(guards) => {
                held = guards;
                continue;
            }
            AfterRefusal::Wait(turn) => turn,
        };
        tokio::select! {
            turn = turn => match turn {
                Ok(guard) => held.push(guard),
                Err(_) => return Err(NotReserved::Refused(taken.verdicts)),
            },
            () = clock::sleep(left) => return Err(NotReserved::out_of_time()),
        }
    }
}

impl NotReserved {
    fn out_of_time() -> Self {
        let retry_after = Duration::from_secs(1);
        Self::Error(Error::Overloaded { retry_after })
    }
}

impl FailureReservation {
    /// Lets the attempt count as a failure.
    pub(super) fn fail(self, client: &Client) {
        client.verdicts.record(self.shown());
        let both = [self.identifier, self.account].into_iter().flatten();
        both.flat_map(|reservation| reservation.guards)
            .for_each(InFlightGuard::spend);
    }

    fn shown(&self) -> &[Verdict] {
        let shown = self.identifier.as_ref();
        shown.map_or(&[], |reservation| &reservation.taken.verdicts)
    }
}

impl From<Error> for NotReserved {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn identifier_buckets(limits: &Limits, address: IpAddr, identifier: &str) -> [Bucket; 2] {
    [
        Bucket {
            policy: SHOWN,
            quota: limits.login_account_address,
            subject: both(address, identifier),
        },
        Bucket {
            policy: "login_address",
            quota: limits.login_address,
            subject: by_address(address),
        },
    ]
}

fn account_buckets(limits: &Limits, address: IpAddr, subject: &LoginSubject) -> [Bucket; 2] {
    [
        Bucket {
            policy: "login_account_address",
            quota: limits.login_account_address,
            subject: both(address, &subject.to_string()),
        },
        Bucket {
            policy: "login_account",
            quota: limits.login_account,
            subject: subject.bucket_subject(),
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

/// Refusal of the account's limits, disguised as one of the identifier's.
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

/// A verdict as it is after the release.
fn with_one_more(verdict: &Verdict) -> Verdict {
    Verdict {
        remaining: (verdict.remaining + 1).min(verdict.quota),
        ..*verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::login::subject::normal_form;
    use crate::core::fixtures::alice;
    use crate::model::Identifier;

    const HOME: &str = "192.0.2.7";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn unknown(typed: &str) -> LoginSubject {
        LoginSubject::named(Identifier::parse_login(typed), typed, None)
    }

    fn inner(address: &str, subject: &LoginSubject) -> Vec<Subject> {
        let buckets = account_buckets(&Limits::default(), ip(address), subject);
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
        let by_identifier = identifier_buckets(&limits, ip(HOME), "username:alice");
        let by_account = account_buckets(&limits, ip(HOME), &LoginSubject::of(&alice()));
        let quota = |bucket: Bucket| (bucket.policy, bucket.quota.quota);
        assert_eq!(
            by_identifier.map(quota),
            [("login", 5), ("login_address", 50)]
        );
        assert_eq!(
            by_account.map(quota),
            [("login_account_address", 5), ("login_account", 20)]
        );
    }

    #[test]
    fn all_names_of_an_account_share_its_limits() {
        let id = alice().id;
        let called = |name| LoginSubject::named(Identifier::parse_login(name), name, Some(id));
        let by_name = inner(HOME, &called("alice"));
        assert_eq!(by_name, inner(HOME, &called("alice@example.com")));
    }

    #[test]
    fn no_name_can_pass_for_another_address() {
        let one = inner(HOME, &unknown("192.0.2.9|x@example.com"));
        let other = inner("192.0.2.9", &unknown("x@example.com"));
        assert!(one.iter().all(|subject| !other.contains(subject)));
        let typed = "192.0.2.9|x@example.com";
        let typed = normal_form(Identifier::parse_login(typed).as_ref(), typed);
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
    fn a_release_shows_in_the_verdict() {
        assert_eq!(with_one_more(&verdict("login", 0, true)).remaining, 1);
        assert_eq!(with_one_more(&verdict("login", 20, true)).remaining, 20);
    }
}
