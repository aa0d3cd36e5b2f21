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

mod buckets;
mod reservation;

use super::subject::LoginSubject;
use crate::core::limits::in_flight::InFlightGuard;
use crate::core::limits::{Party, count_refusal, refuse};
use crate::core::{Client, Core, Error};
use crate::model::{DeviceId, SessionId, UserId};
use crate::store::{Bucket, Verdict};

use buckets::{BY_ACCOUNT_AND_ADDRESS, account_buckets, identifier_buckets, own_bucket};
use reservation::{NotReserved, Reservation, reserve};

/// Reservations in the limits, held until it is known whether they count.
#[must_use = "it counts, or it is released"]
#[derive(Default)]
pub(super) struct FailureReservation {
    identifier: Option<Reservation>,
    account: Option<Reservation>,
    lane: Lane,
    /// Whether the client may see the verdicts. Those of a client that was let in although the limit that is seen
    /// refused would tell that the account exists.
    is_hidden: bool,
}

/// Limits of the account that an attempt meets.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Lane {
    /// Those of everybody.
    #[default]
    Stranger,
    /// That of one whom the account knows.
    Own(Party),
    /// Those of everybody, which are full: the password must not be compared.
    Barred,
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
    id: DeviceId,
) -> Result<FailureReservation, Error> {
    reserve_own(core, client, Party::Device(id)).await
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
    reserve_own(core, client, Party::Session(id)).await
}

/// Reserves in the limit of a client that has logged in to the account, after the limit of the identifier refused;
/// `None` for a client that has not. A wrong password is then to be answered as that refusal.
///
/// # Errors
/// As [`reserve_by_identifier`].
pub(super) async fn reserve_by_known_client(
    core: &Core,
    client: &Client,
    account: Option<UserId>,
) -> Result<Option<FailureReservation>, Error> {
    let Some(party) = known_client(core, client, account).await? else {
        return Ok(None);
    };
    match reserve(core, &[own_bucket(&core.settings.limits, party)]).await {
        Ok(reservation) => Ok(Some(FailureReservation {
            identifier: Some(reservation),
            account: None,
            lane: Lane::Own(party),
            is_hidden: true,
        })),
        Err(NotReserved::Refused(verdicts)) => {
            count_refusal(&verdicts);
            Ok(None)
        }
        Err(NotReserved::Error(error)) => Err(error),
    }
}

/// A client that has logged in to the account. An account that does not exist knows nobody, and is asked all
/// the same: the time must not tell.
async fn known_client(
    core: &Core,
    client: &Client,
    account: Option<UserId>,
) -> Result<Option<Party>, Error> {
    let account = account.unwrap_or_else(|| core.clock.new_id());
    let known = core.store.known_client(account, &client.info()).await?;
    Ok(known.map(|name| Party::Client(account, name)))
}

async fn reserve_own(
    core: &Core,
    client: &Client,
    party: Party,
) -> Result<FailureReservation, Error> {
    let limits = &core.settings.limits;
    if !limits.enabled {
        return Ok(FailureReservation::default());
    }
    let bucket = own_bucket(limits, party);
    reserve_shown(core, client, &[bucket], Lane::Own(party)).await
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
            is_hidden: false,
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
    if !limits.enabled || matches!(held.lane, Lane::Own(_)) {
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
    if let Some(party) = known_client(core, client, subject.account()).await? {
        held.account = Some(reserve(core, &[own_bucket(limits, party)]).await?);
        held.lane = Lane::Own(party);
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

    /// The one whom the account knows, where its limit was taken from.
    pub(super) fn party(&self) -> Option<Party> {
        match self.lane {
            Lane::Own(party) => Some(party),
            Lane::Stranger | Lane::Barred => None,
        }
    }

    fn shown(&self) -> &[Verdict] {
        let shown = self.identifier.as_ref().filter(|_| !self.is_hidden);
        shown.map_or(&[], |reservation| &reservation.taken.verdicts)
    }
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
    fn a_release_shows_in_the_verdict() {
        assert_eq!(with_one_more(&verdict("login", 0, true)).remaining, 1);
        assert_eq!(with_one_more(&verdict("login", 20, true)).remaining, 20);
    }
}
