//! The second door: a code of an authenticator app, or one that was sent.
//!
//! A try is counted in the same commit that decides over it, and nobody learns the outcome before that commit
//! stands: of any number of parallel tries each one is counted, and a code that may be used once is used
//! once. (A backup code costs a hash, so its try is counted in a commit of its own before: see `backup_code`.)

use super::challenge::{Case, CaseRecords, Ticket};
use super::device::Trust;
use super::limits::Gate;
use super::outcome::Outcome;
use super::sealing;
use super::{Auth, Client, DeviceToken, Error, SignedIn};
use crate::crypto::{TotpSecret, step_at};
use crate::model::{
    Action, Authenticator, Factors, MethodId, MethodKind, SentCodes, Session, SixDigits, Timestamp,
    TrustedDevice, User,
};
use crate::outbound::Event;
use crate::store::{Class, Draft, Durability};

/// What somebody sends to meet a challenge. Unchecked.
pub struct Verification {
    /// The `tempToken` of the challenge.
    pub temp_token: String,
    /// The code, as it was typed.
    pub code: String,
    /// Which method it is of; by default the one that a code was sent by last, or else the one asked for first.
    pub method: Option<MethodKind>,
    /// Whether to trust the device from now on.
    pub trust: Option<Trust>,
}

/// What a verification came to.
pub(super) enum Verified {
    /// The login is complete.
    Right(Box<Completed>),
    /// The code was wrong, and counted.
    Wrong,
}

/// A login that is complete.
pub(super) struct Completed {
    pub(super) user: User,
    pub(super) session: Session,
    pub(super) device: Option<TrustedDevice>,
    pub(super) backup_codes_left: Option<usize>,
}

impl Auth {
    /// Completes a login with a code of an authenticator app, or one that was sent.
    ///
    /// # Errors
    /// [`Error::InvalidCode`], which counts as a try unless it is not six digits at all;
    /// [`Error::ChallengeExpired`] when the challenge is spent, expired, out of tries or another client's;
    /// [`Error::MethodNotAvailable`]; [`Error::RateLimited`]; [`Error::StoreAway`].
    pub async fn verify_second_factor(
        &self,
        client: &Client,
        input: Verification,
    ) -> Result<SignedIn, Error> {
        let mut method = input.method;
        let verified = self.verify_code(client, &input, &mut method).await;
        Outcome::of(&verified).count(method.map_or("none", MethodKind::label));
        verified
    }

    /// Tells in `method` which one the code was taken for.
    async fn verify_code(
        &self,
        client: &Client,
        input: &Verification,
        method: &mut Option<MethodKind>,
    ) -> Result<SignedIn, Error> {
        let code = SixDigits::parse(&input.code).ok_or(Error::InvalidCode)?;
        let ticket = self
            .ticket(client, &input.temp_token, input.trust.as_ref())
            .await?;
        self.pass(client, Gate::SecondFactor(ticket.user_id))
            .await?;
        let decide = |records: CaseRecords, draft: &mut Draft| {
            let mut case = ticket.admit(records)?;
            let kind = case.method(input.method, ticket.now)?;
            *method = Some(kind);
            case.challenge.count_try()?;
            let right = match kind {
                MethodKind::Totp => self.shows_totp(&mut case.factors, &code, ticket.now, draft)?,
                MethodKind::Sms | MethodKind::Email => {
                    self.shows_sent_code(&mut case, kind, &code, ticket.now)
                }
            };
            let authenticator = Authenticator::Method(kind);
            write_codes(&case.codes, draft);
            if right {
                let completed = self.complete(client, case, &ticket, authenticator, draft)?;
                return Ok(Verified::Right(Box::new(completed)));
            }
            self.refuse_code(client, case, authenticator, draft)?;
            Ok::<_, Error>(Verified::Wrong)
        };
        let (verified, receipt) = self
            .store
            .transact(Class::Session, ticket.keys(), decide)
            .await?;
        match verified {
            // To trust a device is a grant; a session alone is answered from Redis.
            Verified::Right(completed) if completed.device.is_some() => {
                let durability = receipt.durable().await.unwrap_or(Durability::Pending);
                Ok(self.completed(*completed, &ticket, durability))
            }
            Verified::Right(completed) => {
                Ok(self.completed(*completed, &ticket, Durability::Committed))
            }
            Verified::Wrong => Err(Error::InvalidCode),
        }
    }

    /// Whether a code is one of the account's authenticator app that was not used before. Then its step is, and
    /// every step before it.
    pub(super) fn shows_totp(
        &self,
        factors: &mut Factors,
        code: &SixDigits,
        now: Timestamp,
        draft: &Draft,
    ) -> Result<bool, Error> {
        let skew = self.settings.second_factors.totp_skew_steps;
        let Some(method) = factors.method_mut(MethodKind::Totp) else {
            return Ok(false);
        };
        let secret = self.totp_secret(method.id, &method.secret)?;
        let lost_at = draft.lost_at();
        // What was used shortly before Redis lost its state may look unused: only what comes after counts.
        let lost = (method.created_at < lost_at).then(|| step_at(lost_at) + i64::from(skew));
        let after = method.last_step.max(lost.unwrap_or(i64::MIN));
        let step = secret.matching_step(code, now, skew, after);
        if let Some(step) = step {
            method.last_step = step;
        }
        Ok(step.is_some())
    }

    /// The secret of an authenticator app, enabled or on its way to be.
    pub(super) fn totp_secret(&self, id: MethodId, sealed: &str) -> Result<TotpSecret, Error> {
        let opened = self.unseal(sealing::method_secret(id), sealed)?;
        let unusable = || Error::Internal(format!("the secret of method {id} is no secret"));
        TotpSecret::from_bytes(&opened).ok_or_else(unusable)
    }

    /// Whether a code is the one that was sent last, for this challenge, with tries left.
    fn shows_sent_code(
        &self,
        case: &mut Case,
        kind: MethodKind,
        code: &SixDigits,
        now: Timestamp,
    ) -> bool {
        let Some(sent) = case.codes.live(kind, now).filter(|sent| sent.has_tries()) else {
            return false;
        };
        sent.count_try();
        let row = sent.challenge_id.id();
        let right = row == case.challenge.id.id()
            && self
                .one_time_codes
                .matches(row, kind.label(), code, &sent.mac);
        if right {
            case.codes.drop_code(kind);
        }
        right
    }

    /// Writes a login that a second factor completes: the challenge is spent, the session begins, and where
    /// it was wished the device is trusted.
    pub(super) fn complete(
        &self,
        client: &Client,
        mut case: Case,
        ticket: &Ticket,
        authenticator: Authenticator,
        draft: &mut Draft,
    ) -> Result<Completed, Error> {
        let trail = self.trail(client);
        let amr = [
            case.challenge.first_factor.as_str(),
            authenticator.reference(),
        ];
        let session = self.session(&case.user, &ticket.family, client, &amr, trail.now);
        case.factors.succeed(authenticator, trail.now);
        draft.remove(&case.challenge);
        draft.put(&case.factors);
        draft.put(&session);
        let details = serde_json::json!({ "method": authenticator.label() });
        let entry = trail.session_entry(Action::FactorVerified, case.user.id, session.id);
        draft.trace(&entry.with(details));
        draft.trace(&super::sign_in::login_entry(&trail, &session));
        let device = match &ticket.device {
            Some(new) => {
                let device = self.trust(new, &case.user, trail.now);
                draft.put(&device);
                let details = serde_json::json!({ "device": device.id, "name": device.name });
                let entry = trail.session_entry(Action::DeviceTrusted, case.user.id, session.id);
                draft.trace(&entry.with(details));
                let name = device.name.clone();
                self.notify(draft, &trail, &case.user, Event::DeviceTrusted { name })?;
                Some(device)
            }
            None => None,
        };
        Ok(Completed {
            user: case.user,
            session,
            device,
            backup_codes_left: None,
        })
    }

    /// Writes a failure: it counts against the challenge and against the authenticator.
    fn refuse_code(
        &self,
        client: &Client,
        mut case: Case,
        authenticator: Authenticator,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        draft.put(&case.challenge);
        self.strike(
            client,
            &case.user,
            &mut case.factors,
            authenticator,
            "login",
            draft,
        )
    }

    /// Counts a failure against an authenticator; with the last one it is disabled, and its owner told.
    pub(super) fn strike(
        &self,
        client: &Client,
        user: &User,
        factors: &mut Factors,
        authenticator: Authenticator,
        during: &'static str,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        let trail = self.trail(client);
        let strikes = factors.strikes_mut(authenticator);
        let locked = strikes.is_some_and(|strikes| strikes.strike(trail.now));
        draft.put(factors);
        self.write_failure(&trail, user, authenticator, during, locked, draft)
    }

    /// Tells of a failure, and of what it led to.
    pub(super) fn write_failure(
        &self,
        trail: &super::audit::Trail,
        user: &User,
        authenticator: Authenticator,
        during: &'static str,
        locked: bool,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        let details = serde_json::json!({ "method": authenticator.label(), "during": during });
        let entry = trail.entry(Action::FactorFailed, user.id);
        draft.trace(&entry.with(details));
        if !locked {
            return Ok(());
        }
        let details = serde_json::json!({ "method": authenticator.label() });
        draft.trace(&trail.entry(Action::FactorLocked, user.id).with(details));
        let event = Event::SecondFactorDisabled {
            method: authenticator.into(),
        };
        self.notify(draft, trail, user, event)
    }

    /// Hands out what a login earned, now that it is committed.
    pub(super) fn completed(
        &self,
        completed: Completed,
        ticket: &Ticket,
        durability: Durability,
    ) -> SignedIn {
        let newest = &ticket.family.newest;
        let device = completed.device.as_ref().zip(ticket.device.as_ref());
        let device_token: Option<DeviceToken> =
            device.map(|(device, new)| self.first_device_token(device, new));
        SignedIn {
            device_token,
            backup_codes_left: completed.backup_codes_left,
            ..self.signed_in(completed.user, &completed.session, newest, durability)
        }
    }
}

impl Case {
    /// The method that a code is of.
    fn method(&self, wanted: Option<MethodKind>, now: Timestamp) -> Result<MethodKind, Error> {
        let sent = || self.codes.latest_for(self.challenge.id, now);
        let first = || match self.factors.asked_first() {
            Some(Authenticator::Method(kind)) => Some(kind),
            Some(Authenticator::BackupCode) | None => None,
        };
        let kind = wanted.or_else(sent).or_else(first);
        let usable = |kind: &MethodKind| {
            let method = self.factors.method(*kind);
            method.is_some_and(|method| method.strikes.allow())
        };
        kind.filter(usable).ok_or(Error::MethodNotAvailable)
    }
}

/// Writes what was sent to an account, or that nothing is left of it.
pub(super) fn write_codes(codes: &SentCodes, draft: &mut Draft) {
    if codes.sent.is_empty() {
        draft.remove(codes);
    } else {
        draft.put(codes);
    }
}
