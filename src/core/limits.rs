//! Rate limits that are taken from before a use case runs. Those of login failures are in `auth::login`.

pub(crate) mod blocks;
pub(crate) mod in_flight;

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use super::{Client, Core, Error};
use crate::config::Limits;
use crate::model::{DeviceId, Id, Network, SessionId, UserId, wide_network};
use crate::outbound::Channel;
use crate::store::{Bucket, Subject, Taken, Verdict};
use crate::telemetry::names;

/// A limit, with the subject that it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `register`: by address.
    Register,
    /// `anonymous`: by address.
    Anonymous,
    /// `token`: by the session or challenge whose token was shown. The token is ours, which its MAC or signature
    /// proves, and nothing else is known yet.
    Token(Id),
    /// `account`: by account.
    Account(UserId),
    /// `login_success`.
    LoginSuccess(Party),
    /// `second_factor`.
    SecondFactor(Party),
    /// `password_change`: by account. Each sends a notice, to an address that may not be verified, so there are as
    /// many as there are codes.
    PasswordChange(UserId),
}

/// Those who share a limit of an account: everybody, or one whom the account knows and whose limit no stranger can fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// All who name the account.
    Everybody(UserId),
    /// A client that has logged in to the account: its name in the store.
    Client(UserId, u128),
    /// A trusted device.
    Device(DeviceId),
    /// A session.
    Session(SessionId),
}

impl Party {
    /// The subject that is counted.
    pub(crate) fn subject(self) -> Subject {
        match self {
            Self::Everybody(id) => Subject::Account(id),
            Self::Client(id, name) => Subject::Text(format!("client:{id}:{name:032x}")),
            Self::Device(id) => Subject::Text(format!("device:{id}")),
            Self::Session(id) => Subject::Text(format!("session:{id}")),
        }
    }
}

/// One taken from a limit, until it is known whether it counts.
#[must_use = "it counts, or it is released"]
pub(crate) struct Reservation(Option<Taken>);

/// Takes one from the limit, or refuses. Records the verdict in `client.verdicts`.
///
/// # Errors
/// [`Error::RateLimited`]; [`Error::StoreAway`] when the limit cannot be counted.
pub(crate) async fn take(core: &Core, client: &Client, limit: Limit) -> Result<(), Error> {
    let reservation = reserve(core, client, Some(limit)).await?;
    reservation.settle(client)
}

/// Reserves one of a limit before it is known whether the caller is admitted at all.
///
/// # Errors
/// [`Error::StoreAway`]. A refusal shows when the reservation is settled.
pub(crate) async fn reserve(
    core: &Core,
    client: &Client,
    limit: Option<Limit>,
) -> Result<Reservation, Error> {
    let limits = &core.settings.limits;
    let Some(limit) = limit.filter(|_| limits.enabled) else {
        return Ok(Reservation(None));
    };
    let bucket = bucket(limits, client.address, limit);
    // Boxed: what it needs when Redis has lost its state is far larger than a request.
    let taken = Box::pin(core.store.take(&[bucket])).await?;
    Ok(Reservation(Some(taken)))
}

/// Reserves one of an account's limit or, where others have filled it, of the limit of a client that has logged in to the
/// account before.
///
/// # Errors
/// As [`reserve`].
pub(crate) async fn reserve_as_known(
    core: &Core,
    client: &Client,
    user_id: UserId,
    limit: fn(Party) -> Limit,
) -> Result<Reservation, Error> {
    let everybody = limit(Party::Everybody(user_id));
    let reservation = reserve(core, client, Some(everybody)).await?;
    if reservation.0.as_ref().is_none_or(Taken::allowed) {
        return Ok(reservation);
    }
    match core.store.known_client(user_id, &client.info()).await? {
        Some(name) => reserve(core, client, Some(limit(Party::Client(user_id, name)))).await,
        None => Ok(reservation),
    }
}

/// A code that is about to be sent.
pub(crate) struct CodeSend<'a> {
    pub(crate) user_id: UserId,
    /// Names the destination unmistakably; the store keeps a keyed hash of it.
    pub(crate) destination: &'a str,
    pub(crate) channel: Channel,
    /// Whether nobody has shown yet that they read mail there.
    pub(crate) is_unverified_mail: bool,
}

/// Reserves one for a code in all limits that it has to keep: of the account and of the destination; for an SMS also of
/// the client's address and network, and of all SMS; for a mail to an unverified address also of its kind. In all or in
/// none.
///
/// # Errors
/// As [`reserve`].
pub(crate) async fn reserve_send(
    core: &Core,
    client: &Client,
    send: CodeSend<'_>,
) -> Result<Reservation, Error> {
    let limits = &core.settings.limits;
    if !limits.enabled {
        return Ok(Reservation(None));
    }
    let mut taken = core
        .store
        .take(&send_buckets(limits, client.address, &send))
        .await?;
    taken.verdicts = tightest(&taken.verdicts).into_iter().collect();
    Ok(Reservation(Some(taken)))
}

fn send_buckets(limits: &Limits, address: IpAddr, send: &CodeSend<'_>) -> Vec<Bucket> {
    let bucket = |policy, quota, subject| Bucket {
        policy,
        quota,
        subject,
    };
    let to = || Subject::Text(format!("code:{}", send.destination));
    let mut buckets = vec![
        bucket(
            "code_sends",
            limits.code_sends,
            Subject::Account(send.user_id),
        ),
        bucket("code_sends", limits.code_sends, to()),
    ];
    if send.channel == Channel::Sms {
        let network = Subject::Text(wide_network(address));
        buckets.extend([
            bucket("sms_address", limits.sms_address, by_address(address)),
            bucket("sms_network", limits.sms_network, network),
            bucket("sms", limits.sms, Subject::Text("all".to_owned())),
        ]);
    }
    if send.is_unverified_mail {
        buckets.push(bucket("unverified_mail", limits.unverified_mail, to()));
    }
    buckets
}

/// Takes one for a notice to an address that is not verified; `None` when there were enough of its kind.
///
/// # Errors
/// [`Error::StoreAway`].
pub(crate) async fn take_unverified_notice(
    core: &Core,
    address: &str,
    kind: &str,
) -> Result<Option<Reservation>, Error> {
    let limits = &core.settings.limits;
    if !limits.enabled {
        return Ok(Some(Reservation::none()));
    }
    let bucket = Bucket {
        policy: "unverified_mail",
        quota: limits.unverified_mail,
        subject: Subject::Text(format!("notice:{kind}:{address}")),
    };
    let taken = core.store.take(&[bucket]).await?;
    if taken.allowed() {
        return Ok(Some(Reservation(Some(taken))));
    }
    count_refusal(&taken.verdicts);
    Ok(None)
}

/// Releases a reservation: the request does not count for this limit.
pub(crate) async fn release(core: &Core, reservation: Reservation) {
    if let Reservation(Some(taken)) = reservation {
        core.store.give_back(taken).await;
    }
}

impl Reservation {
    /// Nothing is reserved: the limit does not hold here.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Refuses when the limit was exhausted; else returns the reservation.
    pub(crate) fn admitted(self, client: &Client) -> Result<Self, Error> {
        if self.0.as_ref().is_none_or(Taken::allowed) {
            return Ok(self);
        }
        self.settle(client).map(|()| Self(None))
    }

    /// Lets the reservation count: the caller is admitted, or refused by the limit.
    pub(crate) fn settle(self, client: &Client) -> Result<(), Error> {
        let Self(Some(taken)) = self else {
            return Ok(());
        };
        client.verdicts.record(&taken.verdicts);
        refuse(&taken.verdicts)
    }
}

fn bucket(limits: &Limits, address: IpAddr, limit: Limit) -> Bucket {
    let (policy, quota, subject) = match limit {
        Limit::Register => ("register", limits.register, by_address(address)),
        Limit::Anonymous => ("anonymous", limits.anonymous, by_address(address)),
        Limit::Token(id) => ("token", limits.token, Subject::Text(format!("token:{id}"))),
        Limit::Account(id) => ("account", limits.account, Subject::Account(id)),
        Limit::LoginSuccess(party) => ("login_success", limits.login_success, party.subject()),
        Limit::SecondFactor(party) => ("second_factor", limits.second_factor, party.subject()),
        Limit::PasswordChange(id) => ("password_change", limits.code_sends, Subject::Account(id)),
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

pub(crate) fn by_address(address: IpAddr) -> Subject {
    Subject::Text(Network::of(address).to_string())
}

/// Refuses when a verdict does, and counts which.
pub(crate) fn refuse(verdicts: &[Verdict]) -> Result<(), Error> {
    match count_refusal(verdicts) {
        Some(longest) => Err(Error::RateLimited {
            retry_after: Duration::from_secs(longest.reset_seconds.max(1)),
        }),
        None => Ok(()),
    }
}

/// Counts the refusal among verdicts that takes the longest, and returns it.
pub(crate) fn count_refusal(verdicts: &[Verdict]) -> Option<Verdict> {
    let refusals = verdicts.iter().filter(|verdict| !verdict.allowed);
    let longest = *refusals.max_by_key(|verdict| verdict.reset_seconds)?;
    metrics::counter!(names::LIMIT_REFUSALS, "policy" => longest.policy).increment(1);
    Some(longest)
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
