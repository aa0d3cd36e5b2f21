//! Codes by SMS and e-mail: where one goes, how many may go there, and the one that completes a login.
//!
//! A code is never delivered here: it is posted with the commit that makes it count.

use std::time::Duration;

use zeroize::Zeroizing;

use super::audit::Trail;
use super::challenge::{Case, CaseRecords, Ticket};
use super::second_factor::write_codes;
use super::{Auth, Client, Error, sealing};
use crate::model::{
    Action, Email, Method, MethodId, MethodKind, PhoneNumber, SentCode, SixDigits, Timestamp,
    UserId, masked_email, masked_phone,
};
use crate::outbound::{Channel, Message};
use crate::store::{Class, Draft};
use crate::telemetry::names;

/// A code is on its way.
#[derive(Clone, Debug)]
pub struct CodePosted {
    /// How it goes.
    pub method: MethodKind,
    /// The number or address, masked: `***4567`, `ali***@example.com`.
    pub hint: String,
    /// How long the code is good.
    pub expires_in: Duration,
}

/// Where codes of a method go. Never printed.
pub(super) struct Destination {
    pub(super) kind: MethodKind,
    pub(super) channel: Channel,
    /// The number or address.
    pub(super) to: Zeroizing<String>,
    /// The same for all its spellings.
    key: Zeroizing<String>,
}

/// What codes are sent for. Each has limits of its own by destination: whoever proposes another's number for
/// themselves must not keep the codes of a login from its owner.
#[derive(Clone, Copy)]
pub(super) enum Lane {
    Enrolment,
    /// Only who has shown that the destination is theirs gets here.
    Login,
}

impl Lane {
    const fn label(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::Login => "login",
        }
    }
}

impl Destination {
    pub(super) fn phone(number: &PhoneNumber) -> Self {
        Self {
            kind: MethodKind::Sms,
            channel: Channel::Sms,
            to: Zeroizing::new(number.as_str().to_owned()),
            key: Zeroizing::new(number.as_str().to_owned()),
        }
    }

    pub(super) fn mailbox(email: &Email) -> Self {
        Self {
            kind: MethodKind::Email,
            channel: Channel::Email,
            to: Zeroizing::new(email.as_entered().to_owned()),
            key: Zeroizing::new(email.key().to_owned()),
        }
    }

    /// Where a method's own text leads. `None` when it leads nowhere.
    fn of(kind: MethodKind, text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        match kind {
            MethodKind::Totp => None,
            MethodKind::Sms => PhoneNumber::parse(text).ok().as_ref().map(Self::phone),
            MethodKind::Email => Email::parse(text).ok().as_ref().map(Self::mailbox),
        }
    }

    /// As its owner recognises it, and nobody else learns it.
    pub(super) fn hint(&self) -> String {
        match self.channel {
            Channel::Sms => masked_phone(&self.to),
            Channel::Email => masked_email(&self.to),
        }
    }
}

impl Auth {
    /// Posts a code that completes a login, in the place of the one before, whose tries it inherits. It is
    /// no try of the challenge.
    ///
    /// # Errors
    /// [`Error::ChallengeExpired`]; [`Error::MethodNotAvailable`] when the account has no such method, it
    /// was disabled, or nothing can be sent that way; [`Error::RateLimited`] when too many codes were sent,
    /// or the tries at those before are used up; [`Error::StoreAway`].
    pub async fn send_code(
        &self,
        client: &Client,
        temp_token: &str,
        kind: MethodKind,
    ) -> Result<CodePosted, Error> {
        let posted = self.send_login_code(client, temp_token, kind).await;
        count_code(kind, &posted);
        posted
    }

    async fn send_login_code(
        &self,
        client: &Client,
        temp_token: &str,
        kind: MethodKind,
    ) -> Result<CodePosted, Error> {
        self.reach(kind)?;
        let ticket = self.ticket(client, temp_token, None).await?;
        let case = ticket.admit(self.store.read(ticket.keys()).await?)?;
        let method = sendable(&case, kind, ticket.now)?;
        let destination = self.destination(method)?;
        let posting = Box::pin(self.post_login_code(client, &ticket, method.id, &destination));
        self.within_send_limits(client, ticket.user_id, Lane::Login, &destination, posting)
            .await?;
        Ok(CodePosted {
            method: kind,
            hint: destination.hint(),
            expires_in: self.settings.second_factors.code_ttl,
        })
    }

    async fn post_login_code(
        &self,
        client: &Client,
        ticket: &Ticket,
        method_id: MethodId,
        destination: &Destination,
    ) -> Result<(), Error> {
        let (trail, kind) = (self.trail(client), destination.kind);
        let code = self.one_time_codes.draw();
        let sent = self.sent_code(ticket, kind, &code);
        let decide = |records: CaseRecords, draft: &mut Draft| {
            let mut case = ticket.admit(records)?;
            if sendable(&case, kind, ticket.now)?.id != method_id {
                return Err(Error::MethodNotAvailable);
            }
            case.codes.replace(sent.clone(), ticket.now);
            write_codes(&case.codes, draft);
            let message = |code, minutes| Message::LoginCode { code, minutes };
            self.post_code(draft, &trail, case.user.id, destination, &code, message)?;
            let details = serde_json::json!({ "method": kind.label(), "during": "login" });
            let entry = trail.entry(Action::CodeSent, case.user.id);
            draft.trace(&entry.with(details));
            Ok::<_, Error>(())
        };
        let posted = self.store.transact(Class::Session, ticket.keys(), decide);
        posted.await.map(|_| ())
    }

    fn sent_code(&self, ticket: &Ticket, kind: MethodKind, code: &SixDigits) -> SentCode {
        SentCode {
            kind,
            challenge_id: ticket.id,
            mac: self.one_time_codes.mac(ticket.id.id(), kind.label(), code),
            tries: 0,
            sent_at: ticket.now,
            expires_at: ticket.now.after(self.settings.second_factors.code_ttl),
        }
    }

    fn destination(&self, method: &Method) -> Result<Destination, Error> {
        let opened = self.unseal(sealing::method_secret(method.id), &method.secret)?;
        let nowhere = || Error::Internal(format!("method {} leads nowhere", method.id));
        Destination::of(method.kind, &opened).ok_or_else(nowhere)
    }

    /// Refuses a kind whose codes nobody delivers.
    pub(super) fn reach(&self, kind: MethodKind) -> Result<(), Error> {
        let channel = match kind {
            MethodKind::Totp => None,
            MethodKind::Sms => Some(Channel::Sms),
            MethodKind::Email => Some(Channel::Email),
        };
        match channel {
            Some(channel) if self.outbound.reaches(channel) => Ok(()),
            _ => Err(Error::MethodNotAvailable),
        }
    }

    /// Posts a code with a commit. It is of no use once it is over, and no longer tried to be delivered then.
    pub(super) fn post_code(
        &self,
        draft: &mut Draft,
        trail: &Trail,
        user_id: UserId,
        destination: &Destination,
        code: &SixDigits,
        message: impl FnOnce(String, u64) -> Message,
    ) -> Result<(), Error> {
        let lives = self.settings.second_factors.code_ttl;
        let message = message(code.as_str().to_owned(), minutes(lives));
        let letter = self.letter(user_id, destination.channel, trail.language(), message);
        let expires_at = trail.now.after(lives);
        self.post(
            draft,
            user_id,
            letter,
            destination.to.to_string(),
            expires_at,
        )
    }

    /// Does what posts a code, within the limits of the account and of the destination in its lane. What posted
    /// nothing counts for nothing.
    pub(super) async fn within_send_limits<T>(
        &self,
        client: &Client,
        user_id: UserId,
        lane: Lane,
        destination: &Destination,
        posting: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let name = format!("{}:{}:{}", lane.label(), destination.kind, *destination.key);
        let name = Zeroizing::new(name);
        let place = self.hold_send(user_id, &name).await?.admitted(client)?;
        let posted = posting.await;
        match &posted {
            // Of an unknown outcome it may be that a code is on its way.
            Ok(_) | Err(Error::OutcomeUnknown) => place.settle(client)?,
            Err(_) => self.let_go(place).await,
        }
        posted
    }
}

/// The method that a code may be sent by, now.
fn sendable(case: &Case, kind: MethodKind, now: Timestamp) -> Result<&Method, Error> {
    if !case.challenge.has_tries() {
        return Err(Error::ChallengeExpired);
    }
    let method = case.factors.method(kind);
    let method = method.filter(|method| method.strikes.allow());
    let method = method.ok_or(Error::MethodNotAvailable)?;
    let live = |code: &&SentCode| code.kind == kind && now < code.expires_at;
    let spent = case.codes.sent.iter().find(live);
    match spent.filter(|code| !code.has_tries()) {
        Some(code) => Err(Error::RateLimited {
            retry_after: code.expires_at.since(now),
        }),
        None => Ok(method),
    }
}

/// Whole minutes, at least one: what a person is told of how long a code lives.
fn minutes(lives: Duration) -> u64 {
    (lives.as_secs() / 60).max(1)
}

/// Counts a code that was posted, or why none was.
pub(super) fn count_code<T>(kind: MethodKind, posted: &Result<T, Error>) {
    let outcome = posted.as_ref().err().map_or("posted", Error::code);
    metrics::counter!(names::CODES, "method" => kind.label(), "outcome" => outcome).increment(1);
}
