//! Codes that a client shows, of an authenticator app or sent ones: the method that one is of, and whether it is right.

use super::trial::require_trial;
use crate::core::change::Change;
use crate::core::{Core, Error, ProblemKind, sealing};
use crate::crypto::{TotpSecret, step_at};
use crate::model::{
    Authenticator, Factors, Id, MethodId, MethodKind, SentCodes, SixDigits, Timestamp,
};

/// A code, and the challenge or session that it is shown for.
pub(super) struct ShownCode<'a> {
    pub(super) core: &'a Core,
    pub(super) code: &'a SixDigits,
    pub(super) shown_for: Id,
    pub(super) now: Timestamp,
}

impl ShownCode<'_> {
    /// The method that the code is of: the one that the client named, else the one by which a code was sent last,
    /// else the one that is asked for first.
    ///
    /// # Errors
    /// As [`require_trial`].
    pub(super) fn method(
        &self,
        named: Option<MethodKind>,
        factors: &Factors,
        codes: &SentCodes,
    ) -> Result<MethodKind, Error> {
        let sent = || codes.latest_for(self.shown_for, self.now);
        let first = || match factors.asked_first() {
            Some(Authenticator::Method(kind)) => Some(kind),
            Some(Authenticator::BackupCode) | None => None,
        };
        let kind = named.or_else(sent).or_else(first);
        let kind = kind.ok_or(ProblemKind::MethodNotAvailable)?;
        require_trial(factors, Authenticator::Method(kind), self.now)?;
        Ok(kind)
    }

    /// Whether the code is right. Then it is used. `lost_at`: see [`Change::lost_at`].
    pub(super) fn is_right(
        &self,
        kind: MethodKind,
        factors: &mut Factors,
        codes: &mut SentCodes,
        lost_at: Timestamp,
    ) -> Result<bool, Error> {
        match kind {
            MethodKind::Totp => self.is_of_app(factors, lost_at),
            MethodKind::Sms | MethodKind::Email => Ok(self.was_sent(kind, codes)),
        }
    }

    /// Whether the code is one of the account's authenticator app that was not used before. Then its step is
    /// used, and every step before it.
    fn is_of_app(&self, factors: &mut Factors, lost_at: Timestamp) -> Result<bool, Error> {
        let skew = self.core.settings.second_factors.totp_skew_steps;
        let Some(method) = factors.method_mut(MethodKind::Totp) else {
            return Ok(false);
        };
        let secret = totp_secret(self.core, method.id, &method.secret)?;
        // A code used shortly before Redis lost its state may look unused: only later steps count.
        let lost = (method.created_at < lost_at).then(|| step_at(lost_at) + i64::from(skew));
        let after = method.last_step.max(lost.unwrap_or(i64::MIN));
        let step = secret.matching_step(self.code, self.now, skew, after);
        if let Some(step) = step {
            method.last_step = step;
        }
        Ok(step.is_some())
    }

    /// Whether the code is the one that was sent last, for this challenge or session, with tries left.
    fn was_sent(&self, kind: MethodKind, codes: &mut SentCodes) -> bool {
        let sent = codes.live(kind, self.now);
        let Some(sent) = sent.filter(|sent| sent.has_tries()) else {
            return false;
        };
        sent.count_try();
        let (row, macs) = (sent.sent_for, &self.core.one_time_codes);
        let right = row == self.shown_for && macs.matches(row, kind.label(), self.code, &sent.mac);
        if right {
            codes.drop_code(kind);
        }
        right
    }
}

/// The secret of an authenticator app, enabled or on its way to be.
pub(super) fn totp_secret(core: &Core, id: MethodId, sealed: &str) -> Result<TotpSecret, Error> {
    let opened = sealing::unseal(core, sealing::method_secret(id), sealed)?;
    let unusable = || Error::Internal(format!("the secret of method {id} is no secret"));
    TotpSecret::from_bytes(&opened).ok_or_else(unusable)
}

/// Writes the codes that were sent to an account, or removes the record when none is left.
pub(super) fn write_codes(codes: &SentCodes, change: &mut Change<'_>) {
    if codes.sent.is_empty() {
        change.remove(codes);
    } else {
        change.put_fleeting(codes);
    }
}
