//! Setting up a second factor: a session proposes one, and shows that it works before it counts.
//!
//! What is proposed is the server's own and stands under the session alone, so nobody can have another's
//! finished, or finish with a secret that they chose themselves.

mod finish;

use std::time::Duration;

use zeroize::Zeroizing;

pub use finish::Enabled;

use super::audit::Trail;
use super::error::FieldError;
use super::factor_change::require_proof;
use super::send_code::{Destination, Lane, count_code};
use super::sessions::live_pair;
use super::{Auth, Caller, Client, CodePosted, Error, sealing};
use crate::crypto::{TotpSecret, draw_backup_codes};
use crate::model::{
    Action, BackupCode, Email, Enrolment, MethodId, MethodKind, PhoneNumber, Proof, Session,
    SixDigits, Timestamp, User,
};
use crate::outbound::Message;
use crate::store::{Class, Draft};
use crate::telemetry::names;

/// An authenticator app that is being set up. Shown once.
pub struct TotpSetup {
    /// The secret in base32, for people who type it.
    pub secret: Zeroizing<String>,
    /// The same as authenticator apps read it.
    pub otpauth_url: Zeroizing<String>,
    /// That URL as a QR code, a PNG.
    pub qr_png: Vec<u8>,
    /// The ten codes that become valid with the app: `XXXX-XXXX`.
    pub backup_codes: Vec<Zeroizing<String>>,
    /// How long it waits to be finished.
    pub expires_in: Duration,
}

/// A code that goes out with a proposal.
struct Posting<'a> {
    destination: &'a Destination,
    code: &'a SixDigits,
}

impl Auth {
    /// Proposes an authenticator app with a fresh secret, in the place of whatever the session had proposed.
    /// The caller has proven recently who they are (see [`Auth::require_recent`]).
    ///
    /// # Errors
    /// [`Error::EmailNotVerified`] where that is required; [`Error::ReauthenticationRequired`] when another
    /// session changed the factors meanwhile; [`Error::StoreAway`].
    pub async fn set_up_totp(&self, client: &Client, caller: &Caller) -> Result<TotpSetup, Error> {
        let proposed = self.propose_totp(client, caller).await;
        count_enrolment(MethodKind::Totp, "proposed", &proposed);
        proposed
    }

    /// Proposes a phone, and posts a code to it.
    ///
    /// # Errors
    /// As [`Auth::set_up_totp`]; [`Error::Invalid`] unless the number is in E.164 form;
    /// [`Error::MethodNotAvailable`] when no SMS can be sent; [`Error::RateLimited`].
    pub async fn set_up_sms(
        &self,
        client: &Client,
        caller: &Caller,
        phone_number: &str,
    ) -> Result<CodePosted, Error> {
        let destination = phone(phone_number);
        self.set_up_sending(client, caller, MethodKind::Sms, destination)
            .await
    }

    /// Proposes a mail address, and posts a code to it.
    ///
    /// # Errors
    /// As [`Auth::set_up_sms`], of the address.
    pub async fn set_up_email(
        &self,
        client: &Client,
        caller: &Caller,
        email: &str,
    ) -> Result<CodePosted, Error> {
        let destination = mailbox(email);
        self.set_up_sending(client, caller, MethodKind::Email, destination)
            .await
    }

    async fn set_up_sending(
        &self,
        client: &Client,
        caller: &Caller,
        kind: MethodKind,
        destination: Result<Destination, Error>,
    ) -> Result<CodePosted, Error> {
        let proposed = self
            .propose_sending(client, caller, kind, destination)
            .await;
        count_enrolment(kind, "proposed", &proposed);
        count_code(kind, &proposed);
        proposed
    }

    async fn propose_totp(&self, client: &Client, caller: &Caller) -> Result<TotpSetup, Error> {
        self.may_enrol(&caller.user)?;
        let trail = self.trail(client);
        let secret = TotpSecret::generate();
        let codes = draw_backup_codes();
        let codes: Vec<_> = codes.iter().map(BackupCode::shown).collect();
        let setup = self.totp_setup(&caller.user, &secret, codes)?;
        let place = sealing::shown_codes(caller.session.id.enrolment());
        let proof = Proof::Totp {
            backup_codes: self.seal(place, one_a_line(&setup.backup_codes).as_bytes())?,
        };
        let mut enrolment = self.enrolment(caller, MethodKind::Totp, secret.as_bytes(), proof)?;
        enrolment.expires_at = trail.now.after(setup.expires_in);
        self.propose(caller, &trail, &enrolment, None).await?;
        Ok(setup)
    }

    fn totp_setup(
        &self,
        user: &User,
        secret: &TotpSecret,
        backup_codes: Vec<Zeroizing<String>>,
    ) -> Result<TotpSetup, Error> {
        let settings = &self.settings.second_factors;
        let (issuer, account) = (&settings.totp_issuer, &user.email);
        let picture = secret.qr_png(issuer, account);
        Ok(TotpSetup {
            secret: secret.base32(),
            otpauth_url: secret.otpauth_url(issuer, account),
            qr_png: picture.map_err(|error| Error::Internal(error.to_string()))?,
            backup_codes,
            expires_in: settings.enrolment_ttl,
        })
    }

    async fn propose_sending(
        &self,
        client: &Client,
        caller: &Caller,
        kind: MethodKind,
        destination: Result<Destination, Error>,
    ) -> Result<CodePosted, Error> {
        self.reach(kind)?;
        let destination = destination?;
        self.may_enrol(&caller.user)?;
        let trail = self.trail(client);
        let code = self.one_time_codes.draw();
        let row = caller.session.id.enrolment().id();
        let mac = self.one_time_codes.mac(row, purpose(kind), &code);
        let proof = Proof::SentCode { mac };
        let mut enrolment = self.enrolment(caller, kind, destination.to.as_bytes(), proof)?;
        enrolment.hint = Some(destination.hint());
        let expires_in = self.settings.second_factors.code_ttl;
        enrolment.expires_at = trail.now.after(expires_in);
        let posting = Posting {
            destination: &destination,
            code: &code,
        };
        let proposing = Box::pin(self.propose(caller, &trail, &enrolment, Some(posting)));
        self.within_send_limits(
            client,
            caller.user.id,
            Lane::Enrolment,
            &destination,
            proposing,
        )
        .await?;
        Ok(CodePosted {
            method: kind,
            hint: destination.hint(),
            expires_in,
        })
    }

    /// Refuses whoever has not shown yet that the account's address is theirs, where that is asked for.
    fn may_enrol(&self, user: &User) -> Result<(), Error> {
        let required = self.settings.second_factors.require_verified_email;
        if required && user.email_verified_at.is_none() {
            return Err(Error::EmailNotVerified);
        }
        Ok(())
    }

    /// What a session proposes, with its secret sealed where the method will have it. Over before it begins.
    fn enrolment(
        &self,
        caller: &Caller,
        kind: MethodKind,
        secret: &[u8],
        proof: Proof,
    ) -> Result<Enrolment, Error> {
        let method_id: MethodId = self.clock.new_id_in(caller.user.id.partition());
        Ok(Enrolment {
            id: caller.session.id.enrolment(),
            user_id: caller.user.id,
            method_id,
            kind,
            secret: self.seal(sealing::method_secret(method_id), secret)?,
            hint: None,
            proof,
            tries: 0,
            expires_at: Timestamp::from_micros(0),
        })
    }

    async fn propose(
        &self,
        caller: &Caller,
        trail: &Trail,
        enrolment: &Enrolment,
        posting: Option<Posting<'_>>,
    ) -> Result<(), Error> {
        type Records = ((Option<Session>, Option<User>), Option<Enrolment>);
        let decide = |(pair, _): Records, draft: &mut Draft| {
            let (session, user) = live_pair(pair, trail.now)?;
            require_proof(&session, &user)?;
            self.may_enrol(&user)?;
            draft.put(enrolment);
            if let Some(Posting { destination, code }) = &posting {
                let message = |code, minutes| Message::EnrolmentCode { code, minutes };
                self.post_code(draft, trail, user.id, destination, code, message)?;
                let details =
                    serde_json::json!({ "method": enrolment.kind.label(), "during": "enrolment" });
                let entry = trail.session_entry(Action::CodeSent, user.id, session.id);
                draft.trace(&entry.with(details));
            }
            Ok::<_, Error>(())
        };
        let keys = ((caller.session.id, caller.user.id), enrolment.id);
        let proposed = self.store.transact(Class::Session, keys, decide);
        proposed.await.map(|_| ())
    }
}

fn phone(text: &str) -> Result<Destination, Error> {
    let refused = |error: crate::model::PhoneNumberError| {
        Error::Invalid(vec![FieldError {
            field: "phoneNumber",
            code: error.code(),
            message: error.to_string(),
        }])
    };
    let number = PhoneNumber::parse(text).map_err(refused)?;
    Ok(Destination::phone(&number))
}

fn mailbox(text: &str) -> Result<Destination, Error> {
    let refused = |error| Error::Invalid(vec![FieldError::identifier("email", error)]);
    let email = Email::parse(text).map_err(refused)?;
    Ok(Destination::mailbox(&email))
}

/// What a code that was sent is good for.
fn purpose(kind: MethodKind) -> &'static str {
    match kind {
        MethodKind::Totp => "enrol totp",
        MethodKind::Sms => "enrol sms",
        MethodKind::Email => "enrol email",
    }
}

/// Grows no buffer, which would leave copies behind.
fn one_a_line(codes: &[Zeroizing<String>]) -> Zeroizing<String> {
    let bytes = codes.iter().map(|code| code.len() + 1).sum();
    let mut lines = Zeroizing::new(String::with_capacity(bytes));
    for code in codes {
        lines.push_str(code);
        lines.push('\n');
    }
    lines
}

/// Counts a step of an enrolment, or why it was not taken.
fn count_enrolment<T>(kind: MethodKind, step: &'static str, taken: &Result<T, Error>) {
    let outcome = taken.as_ref().err().map_or(step, Error::code);
    metrics::counter!(names::ENROLMENTS, "method" => kind.label(), "outcome" => outcome)
        .increment(1);
}
