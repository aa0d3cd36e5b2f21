//! Enrolment of a second factor: a session proposes one, and proves that it works before it counts.
//!
//! The proposal is the server's own and belongs to the session alone, so a session can neither finish another's
//! nor finish with a secret that its client chose.

use std::time::Duration;

use zeroize::Zeroizing;

use super::destination::Destination;
use super::send_code::{
    CodePosted, Purpose, count_code, enqueue_code, record_code_sent, require_channel,
    within_send_limits,
};
use crate::auth::session::{self, SessionRecords, require_proof};
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::{Caller, Client, Core, Error, FieldError, ProblemKind, sealing};
use crate::crypto::{TotpSecret, draw_backup_codes};
use crate::model::{
    BackupCode, Email, Enrolment, Factors, MethodId, MethodKind, PhoneNumber, Proof, SixDigits,
    Timestamp, User,
};
use crate::outbound::Message;
use crate::store::Class;
use crate::telemetry::names;

/// An authenticator app that is being set up. Shown once.
pub struct TotpSetup {
    /// The secret in base32, for typing.
    pub secret: Zeroizing<String>,
    /// The same as authenticator apps read it.
    pub otpauth_url: Zeroizing<String>,
    /// That URL as a QR code, a PNG.
    pub qr_png: Vec<u8>,
    /// The ten codes that become valid with the app: `XXXX-XXXX`.
    pub backup_codes: Vec<Zeroizing<String>>,
    /// Time to finish it.
    pub expires_in: Duration,
}

/// A code that is sent with a proposal.
struct Sending<'a> {
    destination: &'a Destination,
    code: &'a SixDigits,
}

/// Proposes an authenticator app with a fresh secret, in the place of any earlier proposal of the session.
/// The caller has proven recently who they are (see [`require_recent`](crate::auth::session::require_recent)).
///
/// # Errors
/// [`ProblemKind::EmailNotVerified`] where that is required; [`Error::ReauthenticationRequired`] when another
/// session changed the factors meanwhile; [`Error::StoreAway`].
pub async fn set_up_totp(
    core: &Core,
    client: &Client,
    caller: &Caller,
) -> Result<TotpSetup, Error> {
    let proposed = propose_totp(core, client, caller).await;
    count_enrolment(MethodKind::Totp, "proposed", &proposed);
    proposed
}

/// Proposes a phone, and sends it a code.
///
/// # Errors
/// As [`set_up_totp`]; [`Error::Invalid`] unless the number is in E.164 form;
/// [`ProblemKind::MethodNotAvailable`] when no SMS can be sent; [`Error::RateLimited`].
pub async fn set_up_sms(
    core: &Core,
    client: &Client,
    caller: &Caller,
    phone_number: &str,
) -> Result<CodePosted, Error> {
    set_up_sending(core, client, caller, MethodKind::Sms, phone(phone_number)).await
}

/// Proposes a mail address, and sends it a code.
///
/// # Errors
/// As [`set_up_sms`], of the address.
pub async fn set_up_email(
    core: &Core,
    client: &Client,
    caller: &Caller,
    email: &str,
) -> Result<CodePosted, Error> {
    set_up_sending(core, client, caller, MethodKind::Email, mailbox(email)).await
}

async fn set_up_sending(
    core: &Core,
    client: &Client,
    caller: &Caller,
    kind: MethodKind,
    destination: Result<Destination, Error>,
) -> Result<CodePosted, Error> {
    let proposed = propose_sending(core, client, caller, kind, destination).await;
    count_enrolment(kind, "proposed", &proposed);
    count_code(kind, &proposed);
    proposed
}

async fn propose_totp(core: &Core, client: &Client, caller: &Caller) -> Result<TotpSetup, Error> {
    may_enrol(core, &caller.user)?;
    let context = RequestContext::new(core, client);
    let secret = TotpSecret::generate();
    let codes = draw_backup_codes();
    let codes: Vec<_> = codes.iter().map(BackupCode::shown).collect();
    let setup = totp_setup(core, &caller.user, &secret, codes)?;
    let sealed_for = sealing::shown_codes(caller.session.id.enrolment());
    let backup_codes = one_a_line(&setup.backup_codes);
    let proof = Proof::Totp {
        backup_codes: sealing::seal(core, sealed_for, backup_codes.as_bytes())?,
    };
    let mut enrolment = enrolment(core, caller, MethodKind::Totp, secret.as_bytes(), proof)?;
    enrolment.expires_at = context.now.after(setup.expires_in);
    propose(core, caller, &context, &enrolment, None).await?;
    Ok(setup)
}

fn totp_setup(
    core: &Core,
    user: &User,
    secret: &TotpSecret,
    backup_codes: Vec<Zeroizing<String>>,
) -> Result<TotpSetup, Error> {
    let settings = &core.settings.second_factors;
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
    core: &Core,
    client: &Client,
    caller: &Caller,
    kind: MethodKind,
    destination: Result<Destination, Error>,
) -> Result<CodePosted, Error> {
    require_channel(core, kind)?;
    let destination = destination?;
    may_enrol(core, &caller.user)?;
    let context = RequestContext::new(core, client);
    let code = core.one_time_codes.draw();
    let row = caller.session.id.enrolment().id();
    let mac = core.one_time_codes.mac(row, purpose(kind), &code);
    let proof = Proof::SentCode { mac };
    let mut enrolment = enrolment(core, caller, kind, destination.to.as_bytes(), proof)?;
    enrolment.hint = Some(destination.hint());
    let expires_in = core.settings.second_factors.code_ttl;
    enrolment.expires_at = context.now.after(expires_in);
    let sending = Sending {
        destination: &destination,
        code: &code,
    };
    let proposing = Box::pin(propose(core, caller, &context, &enrolment, Some(sending)));
    let (user_id, purpose) = (caller.user.id, Purpose::Enrolment);
    within_send_limits(core, client, user_id, purpose, &destination, proposing).await?;
    Ok(CodePosted {
        method: kind,
        hint: destination.hint(),
        expires_in,
    })
}

/// Refuses an account whose address is not verified, where that is required.
fn may_enrol(core: &Core, user: &User) -> Result<(), Error> {
    let required = core.settings.second_factors.require_verified_email;
    if required && user.email_verified_at.is_none() {
        return Err(Error::Refused(ProblemKind::EmailNotVerified));
    }
    Ok(())
}

/// The proposal of a session, with its secret sealed for the method to be. Its end is set by the caller.
fn enrolment(
    core: &Core,
    caller: &Caller,
    kind: MethodKind,
    secret: &[u8],
    proof: Proof,
) -> Result<Enrolment, Error> {
    let method_id: MethodId = core.clock.new_id_in(caller.user.id.partition());
    Ok(Enrolment {
        id: caller.session.id.enrolment(),
        user_id: caller.user.id,
        method_id,
        kind,
        secret: sealing::seal(core, sealing::method_secret(method_id), secret)?,
        hint: None,
        proof,
        tries: 0,
        expires_at: Timestamp::from_micros(0),
    })
}

async fn propose(
    core: &Core,
    caller: &Caller,
    context: &RequestContext,
    enrolment: &Enrolment,
    sending: Option<Sending<'_>>,
) -> Result<(), Error> {
    type Records = ((SessionRecords, Option<Factors>), Option<Enrolment>);
    let decide = |((pair, factors), _): Records, change: &mut Change<'_>| {
        let (session, user) = session::live(pair, change.now())?;
        require_proof(&session, &user, factors.as_ref())?;
        may_enrol(core, &user)?;
        change.put_fleeting(enrolment);
        if let Some(Sending { destination, code }) = &sending {
            let message = |code, minutes| Message::EnrolmentCode { code, minutes };
            enqueue_code(core, user.id, destination, code, message, change)?;
            record_code_sent(&session, enrolment.kind, Purpose::Enrolment, change);
        }
        Ok(())
    };
    let keys = ((caller.keys(), caller.user.id.factors()), enrolment.id);
    let committed = change::commit(core, context, Class::Session, keys, decide).await;
    committed.map(|_| ())
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

/// Purpose of a code that was sent, under its MAC.
pub(super) fn purpose(kind: MethodKind) -> &'static str {
    match kind {
        MethodKind::Totp => "enrol totp",
        MethodKind::Sms => "enrol sms",
        MethodKind::Email => "enrol email",
    }
}

/// The codes, one a line. The buffer never grows, which would leave copies behind.
fn one_a_line(codes: &[Zeroizing<String>]) -> Zeroizing<String> {
    let bytes = codes.iter().map(|code| code.len() + 1).sum();
    let mut lines = Zeroizing::new(String::with_capacity(bytes));
    for code in codes {
        lines.push_str(code);
        lines.push('\n');
    }
    lines
}

/// Counts a step of an enrolment, or the reason why it was not taken.
pub(super) fn count_enrolment<T>(kind: MethodKind, step: &'static str, taken: &Result<T, Error>) {
    let outcome = taken.as_ref().err().map_or(step, Error::code);
    metrics::counter!(names::ENROLMENTS, "method" => kind.label(), "outcome" => outcome)
        .increment(1);
}
