//! Codes by SMS and e-mail: their limits, and those that complete a login or prove again who somebody is.
//!
//! A code is never delivered here: it is enqueued with the commit that makes it count.

use std::time::Duration;

use zeroize::Zeroizing;

use super::destination::Destination;
use super::factor_owner::{self, FactorOwner, OwnerRecords};
use super::presented_challenge::{ChallengeRecords, OpenChallenge, PresentedChallenge};
use super::shown_code::write_codes;
use super::trial::require_trial;
use crate::core::audit::{RequestContext, Subject};
use crate::core::change::{self, Change};
use crate::core::limits::CodeSend;
use crate::core::{Caller, Client, Core, Error, ProblemKind, limits};
use crate::model::{
    Authenticator, Factors, Id, Method, MethodId, MethodKind, PhoneNumber, SecurityEvent, SentCode,
    SentCodes, SixDigits, Timestamp, UserId,
};
use crate::outbound::{Channel, Message};
use crate::store::Class;
use crate::telemetry::names;

/// A code is on its way.
#[derive(Clone, Debug)]
pub struct CodePosted {
    /// Method that it goes by.
    pub method: MethodKind,
    /// The number or address, masked: `***4567`, `ali***@example.com`.
    pub hint: String,
    /// Lifetime of the code.
    pub expires_in: Duration,
}

/// Purpose of a code. Each has limits of its own by destination: a caller who proposes another's number for
/// themselves must not keep the codes of a login from its owner.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Enrolment,
    /// Its destination was shown to be the account's.
    Login,
    /// The same, of a caller who is logged in.
    Reauthentication,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::Login => "login",
            Self::Reauthentication => "reauthentication",
        }
    }
}

/// Sends a code that completes a login, in the place of the one before, whose tries it inherits. It is
/// no try of the challenge.
///
/// # Errors
/// [`ProblemKind::ChallengeExpired`]; [`ProblemKind::MethodNotAvailable`] when the account has no such method, it
/// was disabled, or nothing can be sent that way; [`Error::RateLimited`] when too many codes were sent,
/// or the tries at those before are used up; [`Error::StoreAway`].
pub async fn send_code(
    core: &Core,
    client: &Client,
    temp_token: &str,
    kind: MethodKind,
) -> Result<CodePosted, Error> {
    let sent = send_login_code(core, client, temp_token, kind).await;
    count_code(kind, &sent);
    sent
}

async fn send_login_code(
    core: &Core,
    client: &Client,
    temp_token: &str,
    kind: MethodKind,
) -> Result<CodePosted, Error> {
    require_channel(core, kind)?;
    let presented = PresentedChallenge::open(core, client, temp_token, None).await?;
    let open = presented.admit(core.store.read(presented.keys()).await?)?;
    require_tries(&open)?;
    let method = sendable(&open.factors, &open.codes, kind, presented.now)?;
    let destination = Destination::of_method(core, method)?;
    let enqueue = enqueue_login_code(core, client, &presented, method.id, &destination);
    let user_id = presented.user_id;
    let enqueue = Box::pin(enqueue);
    post_within_limits(core, client, user_id, Purpose::Login, &destination, enqueue).await
}

async fn enqueue_login_code(
    core: &Core,
    client: &Client,
    presented: &PresentedChallenge,
    method_id: MethodId,
    destination: &Destination,
) -> Result<(), Error> {
    let kind = destination.kind;
    let code = core.one_time_codes.draw();
    let sent = sent_code(core, presented.id.id(), kind, &code, presented.now);
    let context = RequestContext::new(core, client);
    let decide = |records: ChallengeRecords, change: &mut Change<'_>| {
        let mut open = presented.admit(records)?;
        require_tries(&open)?;
        if sendable(&open.factors, &open.codes, kind, presented.now)?.id != method_id {
            return Err(Error::Refused(ProblemKind::MethodNotAvailable).into());
        }
        open.codes.replace(sent.clone(), presented.now);
        write_codes(&open.codes, change);
        let message = |code, minutes| Message::LoginCode {
            code,
            minutes,
            logged_in: false,
        };
        let user_id = open.user.id;
        enqueue_code(core, user_id, destination, &code, message, change)?;
        record_code_sent(user_id, kind, Purpose::Login, change);
        Ok(())
    };
    let keys = presented.keys();
    let committed = change::commit(core, &context, Class::Session, keys, decide).await;
    committed.map(|_| ())
}

/// Sends a code by which the caller proves again who they are, in the place of the one before, whose tries it
/// inherits.
///
/// # Errors
/// As [`send_code`], the challenge apart.
pub async fn send_reauthentication_code(
    core: &Core,
    client: &Client,
    caller: &Caller,
    kind: MethodKind,
) -> Result<CodePosted, Error> {
    let sent = send_again(core, client, caller, kind).await;
    count_code(kind, &sent);
    sent
}

async fn send_again(
    core: &Core,
    client: &Client,
    caller: &Caller,
    kind: MethodKind,
) -> Result<CodePosted, Error> {
    require_channel(core, kind)?;
    let context = RequestContext::new(core, client);
    let (keys, now) = (factor_owner::keys(caller), context.now);
    let owner = FactorOwner::live(core.store.read(keys).await?, now)?;
    let method = sendable(&owner.factors, &owner.codes, kind, now)?;
    let destination = Destination::of_method(core, method)?;
    let code = core.one_time_codes.draw();
    let sent = sent_code(core, caller.session.id.id(), kind, &code, now);
    let decide = |records: OwnerRecords, change: &mut Change<'_>| {
        let mut owner = FactorOwner::live(records, now)?;
        if sendable(&owner.factors, &owner.codes, kind, now)?.id != method.id {
            return Err(Error::Refused(ProblemKind::MethodNotAvailable).into());
        }
        owner.codes.replace(sent.clone(), now);
        write_codes(&owner.codes, change);
        let message = |code, minutes| Message::LoginCode {
            code,
            minutes,
            logged_in: true,
        };
        enqueue_code(core, owner.user.id, &destination, &code, message, change)?;
        record_code_sent(&owner.session, kind, Purpose::Reauthentication, change);
        Ok(())
    };
    let enqueue = async {
        let committed = change::commit(core, &context, Class::Session, keys, decide).await;
        committed.map(|_| ())
    };
    let (user_id, purpose) = (caller.user.id, Purpose::Reauthentication);
    let enqueue = Box::pin(enqueue);
    post_within_limits(core, client, user_id, purpose, &destination, enqueue).await
}

/// As [`within_send_limits`], with the answer to whoever asked for the code.
async fn post_within_limits(
    core: &Core,
    client: &Client,
    user_id: UserId,
    purpose: Purpose,
    destination: &Destination,
    enqueue: impl Future<Output = Result<(), Error>>,
) -> Result<CodePosted, Error> {
    within_send_limits(core, client, user_id, purpose, destination, enqueue).await?;
    Ok(CodePosted {
        method: destination.kind,
        hint: destination.hint(),
        expires_in: core.settings.second_factors.code_ttl,
    })
}

/// A code that was just sent for a challenge or a session.
fn sent_code(
    core: &Core,
    sent_for: Id,
    kind: MethodKind,
    code: &SixDigits,
    now: Timestamp,
) -> SentCode {
    SentCode {
        kind,
        sent_for,
        mac: core.one_time_codes.mac(sent_for, kind.label(), code),
        tries: 0,
        sent_at: now,
        expires_at: now.after(core.settings.second_factors.code_ttl),
    }
}

/// Refuses a kind whose codes cannot be delivered.
pub(super) fn require_channel(core: &Core, kind: MethodKind) -> Result<(), Error> {
    let channel = match kind {
        MethodKind::Totp => None,
        MethodKind::Sms => Some(Channel::Sms),
        MethodKind::Email => Some(Channel::Email),
    };
    match channel {
        Some(channel) if core.outbound.reaches(channel) => Ok(()),
        _ => Err(Error::Refused(ProblemKind::MethodNotAvailable)),
    }
}

/// Enqueues a code with a change. It is of no use once it is over, and its delivery is no longer tried then.
pub(super) fn enqueue_code(
    core: &Core,
    user_id: UserId,
    destination: &Destination,
    code: &SixDigits,
    message: impl FnOnce(String, u64) -> Message,
    change: &mut Change<'_>,
) -> Result<(), Error> {
    let ttl = core.settings.second_factors.code_ttl;
    let message = message(code.as_str().to_owned(), minutes(ttl));
    let to = destination.to.to_string();
    let expires_at = change.now().after(ttl);
    change.send(user_id, destination.channel, to, message, expires_at)
}

/// Tells that a code was sent.
pub(super) fn record_code_sent(
    subject: impl Into<Subject>,
    kind: MethodKind,
    purpose: Purpose,
    change: &mut Change<'_>,
) {
    let event = SecurityEvent::CodeSent {
        method: kind.label(),
        during: purpose.label(),
    };
    change.record(subject, &event);
}

/// Refuses a number that no SMS are sent to.
fn require_served(core: &Core, destination: &Destination) -> Result<(), Error> {
    let countries = &core.settings.sms_countries;
    let number = match destination.channel {
        Channel::Sms => PhoneNumber::parse(&destination.to).ok(),
        Channel::Email => None,
    };
    if number.is_none_or(|number| number.is_served(countries)) {
        return Ok(());
    }
    Err(Error::Refused(ProblemKind::NumberNotServed))
}

/// Runs `enqueue` within the limits of the account and of the destination for this purpose. A run that enqueued
/// nothing counts for nothing.
pub(super) async fn within_send_limits<T>(
    core: &Core,
    client: &Client,
    user_id: UserId,
    purpose: Purpose,
    destination: &Destination,
    enqueue: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let (kind, key) = (destination.kind, &*destination.key);
    let name = Zeroizing::new(format!("{}:{kind}:{key}", purpose.label()));
    require_served(core, destination)?;
    let send = CodeSend {
        user_id,
        destination: &name,
        channel: destination.channel,
        // A method that codes are sent by was set up with a code.
        is_unverified_mail: kind == MethodKind::Email && matches!(purpose, Purpose::Enrolment),
    };
    let reservation = limits::reserve_send(core, client, send).await?;
    let reservation = reservation.admitted(client)?;
    let enqueued = enqueue.await;
    match &enqueued {
        // After an unknown outcome a code may be on its way.
        Ok(_) | Err(Error::OutcomeUnknown) => reservation.settle(client)?,
        Err(_) => limits::release(core, reservation).await,
    }
    enqueued
}

/// Refuses a challenge that no code could complete any more.
fn require_tries(open: &OpenChallenge) -> Result<(), Error> {
    if open.challenge.has_tries() {
        Ok(())
    } else {
        Err(Error::Refused(ProblemKind::ChallengeExpired))
    }
}

/// The method that a code may be sent by now.
fn sendable<'a>(
    factors: &'a Factors,
    codes: &SentCodes,
    kind: MethodKind,
    now: Timestamp,
) -> Result<&'a Method, Error> {
    require_trial(factors, Authenticator::Method(kind), now)?;
    let method = factors.method(kind);
    let method = method.ok_or(ProblemKind::MethodNotAvailable)?;
    let live = |code: &&SentCode| code.kind == kind && now < code.expires_at;
    let spent = codes.sent.iter().find(live);
    match spent.filter(|code| !code.has_tries()) {
        Some(code) => Err(Error::RateLimited {
            retry_after: code.expires_at.since(now),
        }),
        None => Ok(method),
    }
}

/// Lifetime of a code as shown to the user: whole minutes, at least one.
fn minutes(ttl: Duration) -> u64 {
    (ttl.as_secs() / 60).max(1)
}

/// Counts a code that was sent, or the reason why none was.
pub(super) fn count_code<T>(kind: MethodKind, posted: &Result<T, Error>) {
    let outcome = posted.as_ref().err().map_or("posted", Error::code);
    metrics::counter!(names::CODES, "method" => kind.label(), "outcome" => outcome).increment(1);
}
