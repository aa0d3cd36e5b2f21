//! Limits of login failures.
//!
//! One is reserved in them *before* the password is looked at and released when it was right. So each attempt
//! holds its reservation while it waits for the hash, and no number of parallel ones gets past the limit between
//! counting and comparing. An attempt that still holds its reservation when the session is issued was within the
//! limit all the time: there is nothing to check again. An attempt that finds a limit full of others in flight
//! waits for them (see `core::limits::in_flight`): they may succeed.
//!
//! There are two pairs of limits.
//!
//! - The first counts the identifier as it was typed, and the address. It needs no account, so a refusal there costs
//!   no look at any, and tells of none: it is the only one that a client sees, as 429.
//! - The second counts the account, by whatever identifier. Were its refusals seen, they would tell which identifiers
//!   belong together. So an attempt that it refuses costs the same hash and has the same answer as a wrong password;
//!   what was hashed is not compared. Once strangers have filled the account's limit, one of them in ten seconds
//!   (`LIMIT_LOGIN_STRANGERS`) is compared all the same: the owner is slowed down and not locked out. (To hold answers
//!   back instead would tell by time what the answer does not, and keep connections open for the attacker.)
//!
//! A trusted device, a session, and a client (network and user agent) that has logged in to the account have limits of
//! their own instead of both pairs, which no stranger can fill.

use std::net::IpAddr;
use std::time::Duration;

use super::subject::LoginSubject;
use crate::clock::{self, Stopwatch};
use crate::config::Limits;
use crate::core::limits::in_flight::{AfterRefusal, InFlightGuard};
use crate::core::limits::{by_address, count_refusal, refuse};
use crate::core::{Client, Core, Error};
use crate::model::{Id, Network, SessionId, UserId};
use crate::store::{Bucket, Subject, Taken, Verdict};

/// Longest wait for attempts in flight. As long as the hash queue's own deadline, which is what keeps them.
const PATIENCE: Duration = Duration::from_secs(5);
/// The only policy besides `login_address` that is shown.
const SHOWN: &str = "login";
/// The policy of an account and an address together.
const BY_ACCOUNT_AND_ADDRESS: &str = "login_account_address";

/// Reservations in the limits, held until it is known whether they count.
#[must_use = "it counts, or it is released"]
#[derive(Default)]
pub(super) struct FailureReservation {
    identifier: Option<Reservation>,
    account: Option<Reservation>,
    lane: Lane,
}

/// Limits of the account that an attempt meets.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Lane {
    /// Those of everybody.
    #[default]
    Stranger,
    /// One of its own.
    Own,
    /// Those of everybody, which are full: the password must not be compared.
    Barred,
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
    reserve_shown(core, client, &buckets, Lane::Stranger).await
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
    reserve_own(core, client, format!("device:{id}")).await
}

/// Reserves in the limit of a session, whose owner proves again who they are.
///
/// # Errors
/// As [`reserve_by_identifier`].
pub(super) async fn reserve_by_session(
    core: &Core,
    client: &Client,
    id: SessionId,
) -> Result<FailureReservation, Error> {
    reserve_own(core, client, format!("session:{id}")).await
}

/// Reserves in the limit of a client that has logged in to the account; `None` for a client that has not.
///
/// # Errors
/// As [`reserve_by_identifier`].
pub(super) async fn reserve_by_known_client(
    core: &Core,
    client: &Client,
    account: Option<UserId>,
) -> Result<Option<FailureReservation>, Error> {
    match known_client(core, client, account).await? {
        Some(name) => reserve_own(core, client, name).await.map(Some),
        None => Ok(None),
    }
}

/// Name of a client that has logged in to the account. An account that does not exist knows nobody, and is asked all
/// the same: the time must not tell.
async fn known_client(
    core: &Core,
    client: &Client,
    account: Option<UserId>,
) -> Result<Option<String>, Error> {
    let account = account.unwrap_or_else(|| core.clock.new_id());
    let info = client.info();
    let knows = core.store.knows_client(account, &info).await?;
    let network = Network::of(info.ip_address);
    Ok(knows.then(|| format!("client:{account}|{network}|{}", info.user_agent)))
}

async fn reserve_own(
    core: &Core,
    client: &Client,
    name: String,
) -> Result<FailureReservation, Error> {
    let limits = &core.settings.limits;
    if !limits.enabled {
        return Ok(FailureReservation::default());
    }
    reserve_shown(core, client, &[own_bucket(limits, name)], Lane::Own).await
}

fn own_bucket(limits: &Limits, name: String) -> Bucket {
    Bucket {
        policy: SHOWN,
        quota: limits.login_account_address,
        subject: Subject::Text(name),
    }
}

async fn reserve_shown(
    core: &Core,
    client: &Client,
    buckets: &[Bucket],
    lane: Lane,
) -> Result<FailureReservation, Error> {
    match reserve(core, buckets).await {
        Ok(reservation) => Ok(FailureReservation {
            identifier: Some(reservation),
            account: None,
            lane,
        }),
        Err(NotReserved::Refused(verdicts)) => {
            client.verdicts.record(&refusing(&verdicts));
            refuse(&verdicts).map(|()| FailureReservation::default())
        }
        Err(NotReserved::Error(error)) => Err(error),
    }
}

/// Reserves by account too. Refused, the attempt goes on in the lane of a client that is known, or else as one whose
/// password is not compared.
///
/// # Errors
/// [`Error::Overloaded`], [`Error::StoreAway`].
pub(super) async fn reserve_by_account(
    core: &Core,
    client: &Client,
    mut held: FailureReservation,
    subject: &LoginSubject,
) -> Result<FailureReservation, Error> {
    let limits = &core.settings.limits;
    if !limits.enabled || held.lane == Lane::Own {
        return Ok(held);
    }
    let buckets = account_buckets(limits, client.address, subject);
    let error = match reserve(core, &buckets).await {
        Ok(reservation) => {
            held.account = Some(reservation);
            return Ok(held);
        }
        Err(NotReserved::Refused(verdicts)) => {
            count_refusal(&verdicts);
            let after = after_account_refusal(core, client, &mut held, subject, &verdicts);
            match after.await {
                Ok(()) => return Ok(held),
                Err(NotReserved::Refused(_)) => {
                    held.lane = Lane::Barred;
                    return Ok(held);
                }
                Err(NotReserved::Error(error)) => error,
            }
        }
        Err(NotReserved::Error(error)) => error,
    };
    give_back(core, held).await;
    Err(error)
}

/// Continues an attempt that the account's limits refuse. Only the account's own limit lets strangers in one by one; an
/// address that has had its failures has to wait.
async fn after_account_refusal(
    core: &Core,
    client: &Client,
    held: &mut FailureReservation,
    subject: &LoginSubject,
    verdicts: &[Verdict],
) -> Result<(), NotReserved> {
    let limits = &core.settings.limits;
    if let Some(name) = known_client(core, client, subject.account()).await? {
        held.account = Some(reserve(core, &[own_bucket(limits, name)]).await?);
        held.lane = Lane::Own;
        return Ok(());
    }
    let by_address = |said: &Verdict| said.policy == BY_ACCOUNT_AND_ADDRESS && !said.allowed;
    if verdicts.iter().any(by_address) {
        return Err(NotReserved::Refused(Vec::new()));
    }
    let one_stranger = Bucket {
        policy: "login_strangers",
        quota: limits.login_strangers,
        subject: subject.bucket_subject(),
    };
    let taken = core.store.take(&[one_stranger]).await;
    if taken.map_err(Error::from)?.allowed() {
        return Ok(());
    }
    Err(NotReserved::Refused(Vec::new()))
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

    /// Whether the password may be compared with the account's.
    pub(super) fn may_compare(&self) -> bool {
        self.lane != Lane::Barred
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
            policy: BY_ACCOUNT_AND_ADDRESS,
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
    fn a_release_shows_in_the_verdict() {
        assert_eq!(with_one_more(&verdict("login", 0, true)).remaining, 1);
        assert_eq!(with_one_more(&verdict("login", 20, true)).remaining, 20);
    }
}
