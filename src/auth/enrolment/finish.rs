//! The end of an enrolment: a code shows that the factor works, and it counts from now on.
//!
//! Backup codes cost ten hashes, which no transaction waits for and nobody who guesses may cause. So there
//! is a look first, which decides nothing: a wrong code goes on without hashes to the commit that counts
//! it, and a right one is judged again in the commit that enables the factor.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{count_enrolment, purpose};
use crate::auth::audit::Trail;
use crate::auth::error::FieldError;
use crate::auth::factor_change::{Holder, HolderKeys, HolderRecords};
use crate::auth::{Auth, Caller, Client, Error, Gate, sealing};
use crate::crypto::{CodeSet, HashPlace, draw_backup_codes};
use crate::model::{
    Action, Authenticator, BackupCode, Enrolment, EnrolmentId, Method, MethodKind, Proof,
    SixDigits, Strikes, Timestamp,
};
use crate::outbound::Event;
use crate::store::{Class, Draft, Durability};

/// A second factor counts from now on.
pub struct Enabled {
    /// Backup codes that are valid from now on, if there are new ones: `XXXX-XXXX`. Shown once.
    pub backup_codes: Option<Vec<Zeroizing<String>>>,
    /// How far it has come.
    pub durability: Durability,
}

/// Backup codes that wait for the commit that makes them valid.
struct FreshCodes {
    shown: Vec<Zeroizing<String>>,
    set: CodeSet,
}

/// What a transaction over an enrolment made of it.
enum Finish {
    /// The factor is enabled; whether the fresh codes are valid.
    Enabled {
        fresh: bool,
    },
    Wrong,
    /// The account's backup codes went away meanwhile: look again.
    Moved,
}

/// Somebody and what their session has proposed.
struct Proposer {
    holder: Holder,
    enrolment: Enrolment,
}

type Keys = (HolderKeys, EnrolmentId);
type Records = (HolderRecords, Option<Enrolment>);

impl Auth {
    /// Enables the factor that the session has proposed, with a code of it. `secret`, when given, must be
    /// the proposed one. Every other session loses its right to what is sensitive, and trusted devices end.
    ///
    /// # Errors
    /// [`Error::EnrolmentExpired`] when the session proposes nothing of this kind, or its time or tries are
    /// over; [`Error::InvalidCode`], which counts as a try unless it is not six digits at all;
    /// [`Error::Invalid`] for another secret; [`Error::RateLimited`]; [`Error::Overloaded`].
    pub async fn finish_enrolment(
        &self,
        client: &Client,
        caller: &Caller,
        kind: MethodKind,
        code: &str,
        secret: Option<&str>,
    ) -> Result<Enabled, Error> {
        let finished = self.finish(client, caller, kind, code, secret).await;
        count_enrolment(kind, "enabled", &finished);
        finished
    }

    async fn finish(
        &self,
        client: &Client,
        caller: &Caller,
        kind: MethodKind,
        code: &str,
        secret: Option<&str>,
    ) -> Result<Enabled, Error> {
        let code = SixDigits::parse(code).ok_or(Error::InvalidCode)?;
        let (trail, keys) = (self.trail(client), keys(caller));
        let seen = Proposer::of(self.store.read(keys).await?, kind, trail.now)?;
        self.require_own_secret(&seen.enrolment, secret)?;
        let place = seen
            .needs_codes()
            .then(|| self.hash_place(client))
            .transpose()?;
        self.pass(client, Gate::SecondFactor(caller.user.id))
            .await?;
        let fresh = match (self.shown_step(&seen.enrolment, &code, trail.now)?, place) {
            (Some(_), Some(place)) => Some(self.fresh_codes(&seen, place).await?),
            _ => None,
        };
        let decide = |records: Records, draft: &mut Draft| {
            let proposer = Proposer::of(records, kind, trail.now)?;
            if proposer.enrolment.method_id != seen.enrolment.method_id {
                return Err(Error::EnrolmentExpired);
            }
            self.decide_enrolment(proposer, &code, fresh.as_ref(), &trail, draft)
        };
        let (finish, receipt) = self.store.transact(Class::Grant, keys, decide).await?;
        match finish {
            Finish::Enabled { fresh: valid } => Ok(Enabled {
                backup_codes: fresh.filter(|_| valid).map(|fresh| fresh.shown),
                durability: receipt.durable().await?,
            }),
            Finish::Wrong => Err(Error::InvalidCode),
            Finish::Moved => Err(Error::Overloaded {
                retry_after: Duration::from_secs(1),
            }),
        }
    }

    /// The secret is the server's own. A client that sends one along means that one and no other.
    fn require_own_secret(&self, enrolment: &Enrolment, sent: Option<&str>) -> Result<(), Error> {
        let Some(sent) = sent else { return Ok(()) };
        let ours = enrolment.kind == MethodKind::Totp
            && self
                .totp_secret(enrolment.method_id, &enrolment.secret)?
                .is(sent);
        if ours {
            return Ok(());
        }
        Err(Error::Invalid(vec![FieldError {
            field: "secret",
            code: "mismatch",
            message: "is not the secret that was set up".to_owned(),
        }]))
    }

    /// The step whose code it is, of an app; of a code that was sent, 0. `None` when it is wrong.
    fn shown_step(
        &self,
        enrolment: &Enrolment,
        code: &SixDigits,
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        match &enrolment.proof {
            Proof::Totp { .. } => {
                let secret = self.totp_secret(enrolment.method_id, &enrolment.secret)?;
                let skew = self.settings.second_factors.totp_skew_steps;
                Ok(secret.matching_step(code, now, skew, i64::MIN))
            }
            Proof::SentCode { mac } => {
                let (row, purpose) = (enrolment.id.id(), purpose(enrolment.kind));
                let right = self.one_time_codes.matches(row, purpose, code, mac);
                Ok(right.then_some(0))
            }
        }
    }

    /// The codes that were shown with an app; for other factors new ones.
    async fn fresh_codes(
        &self,
        seen: &Proposer,
        mut place: HashPlace,
    ) -> Result<FreshCodes, Error> {
        let codes = match &seen.enrolment.proof {
            Proof::Totp { backup_codes } => self.shown_codes(&seen.enrolment, backup_codes)?,
            Proof::SentCode { .. } => draw_backup_codes(),
        };
        Ok(FreshCodes {
            shown: codes.iter().map(BackupCode::shown).collect(),
            set: place.hash_codes(codes).await?,
        })
    }

    fn shown_codes(&self, enrolment: &Enrolment, sealed: &str) -> Result<Vec<BackupCode>, Error> {
        let opened = self.unseal(sealing::shown_codes(enrolment.id), sealed)?;
        let lines = std::str::from_utf8(&opened).unwrap_or_default().lines();
        let codes: Option<Vec<_>> = lines.map(BackupCode::parse).collect();
        codes.ok_or_else(|| Error::Internal("shown backup codes cannot be read".to_owned()))
    }

    /// Counts the try and judges it, in one commit.
    fn decide_enrolment(
        &self,
        mut proposer: Proposer,
        code: &SixDigits,
        fresh: Option<&FreshCodes>,
        trail: &Trail,
        draft: &mut Draft,
    ) -> Result<Finish, Error> {
        proposer.enrolment.count_try();
        let Some(step) = self.shown_step(&proposer.enrolment, code, trail.now)? else {
            write_wrong(&proposer, trail, draft);
            return Ok(Finish::Wrong);
        };
        let app = proposer.enrolment.kind == MethodKind::Totp;
        let valid = app || proposer.holder.factors.backup.is_none();
        if valid && fresh.is_none() {
            return Ok(Finish::Moved);
        }
        let fresh = fresh.filter(|_| valid).map(|fresh| &fresh.set);
        self.write_enabled(proposer, step, fresh, trail, draft)?;
        Ok(Finish::Enabled { fresh: valid })
    }

    fn write_enabled(
        &self,
        proposer: Proposer,
        step: i64,
        fresh: Option<&CodeSet>,
        trail: &Trail,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        let (mut holder, enrolment) = (proposer.holder, proposer.enrolment);
        let kind = enrolment.kind;
        draft.remove(&enrolment);
        let sealed_with = self.sealed_with(&enrolment.secret);
        holder
            .factors
            .enable(method(enrolment, step, trail.now), sealed_with, trail.now);
        holder.void_code(kind);
        if let Some(CodeSet { recipe, tags }) = fresh.cloned() {
            holder.factors.renew_backup_codes(recipe, tags, trail.now);
            draft.trace(&entry(&holder, trail, Action::BackupCodesGenerated));
        }
        let details = serde_json::json!({ "method": kind.label() });
        let entry = entry(&holder, trail, Action::FactorEnabled).with(details);
        let event = Event::SecondFactorAdded {
            method: Authenticator::Method(kind).into(),
        };
        self.write_change(&mut holder, trail, &entry, event, draft)
    }
}

impl Proposer {
    /// Session and account must still stand, with the right to this, and the session propose this kind.
    fn of((holder, enrolment): Records, kind: MethodKind, now: Timestamp) -> Result<Self, Error> {
        let holder = Holder::proven(holder, now)?;
        let open = |enrolment: &Enrolment| enrolment.is_open(kind, holder.user.id, now);
        let enrolment = enrolment.filter(open).ok_or(Error::EnrolmentExpired)?;
        Ok(Self { holder, enrolment })
    }

    /// Whether there will be new backup codes: with an app always, else when the account has none yet.
    fn needs_codes(&self) -> bool {
        matches!(self.enrolment.proof, Proof::Totp { .. }) || self.holder.factors.backup.is_none()
    }
}

fn keys(caller: &Caller) -> Keys {
    (caller.holder_keys(), caller.session.id.enrolment())
}

fn method(enrolment: Enrolment, last_step: i64, now: Timestamp) -> Method {
    Method {
        id: enrolment.method_id,
        kind: enrolment.kind,
        secret: enrolment.secret,
        hint: enrolment.hint,
        last_step,
        strikes: Strikes::default(),
        created_at: now,
        last_used_at: None,
    }
}

fn write_wrong(proposer: &Proposer, trail: &Trail, draft: &mut Draft) {
    draft.put(&proposer.enrolment);
    let method = proposer.enrolment.kind.label();
    let details = serde_json::json!({ "method": method, "during": "enrolment" });
    let entry = entry(&proposer.holder, trail, Action::FactorFailed);
    draft.trace(&entry.with(details));
}

fn entry(holder: &Holder, trail: &Trail, action: Action) -> crate::model::AuditEvent {
    trail.session_entry(action, holder.user.id, holder.session.id)
}
