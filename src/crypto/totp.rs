//! Time-based codes (RFC 6238) as every authenticator app makes them: SHA-1, six digits, 30 seconds.
//!
//! The codes, the URL and the picture come from totp-rs. Two things stay here, because its `check` stops at the first
//! step that matches: every step of the window is looked at, whatever matches; and a step that is not later than the
//! last one accepted is no match, so that a code counts once (RFC 6238, section 5.2).

use std::fmt;

use subtle::ConstantTimeEq;
use totp_rs::{Builder, Secret, Totp};
use zeroize::{Zeroize, Zeroizing};

use crate::clock;
use crate::model::{SixDigits, Timestamp};

/// Seconds of a step.
const STEP_SECONDS: i64 = 30;
/// Bytes of a secret: 160 bits, the length of the hash (RFC 4226, section 4, R6).
const SECRET: usize = 20;
/// Bytes of the issuer's name that are kept.
const MAX_ISSUER_BYTES: usize = 64;
/// Bytes of the account's name that are kept: an e-mail address is never longer. Even when every byte is written as
/// `%XX`, both names and the secret stay below what a QR code holds.
const MAX_ACCOUNT_BYTES: usize = 254;
/// Name shown where nothing is left of one.
const NAMELESS: &str = "account";

/// The secret that an authenticator shares with the service. Wiped on drop, never printed.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; SECRET]>);

/// The QR code could not be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the QR code could not be drawn")]
pub struct QrError;

/// The step that `now` lies in, counted from the Unix epoch.
#[must_use]
pub fn step_at(now: Timestamp) -> i64 {
    now.seconds().div_euclid(STEP_SECONDS)
}

impl TotpSecret {
    /// Draws a secret.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(clock::random()))
    }

    /// The secret of bytes made by [`TotpSecret::as_bytes`]; `None` when they are not 20.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut secret = Zeroizing::new([0; SECRET]);
        if bytes.len() != SECRET {
            return None;
        }
        secret.copy_from_slice(bytes);
        Some(Self(secret))
    }

    /// The secret of a text made by [`TotpSecret::base32`], whatever its case and with any spaces.
    #[must_use]
    pub fn from_base32(text: &str) -> Option<Self> {
        let symbols = text.chars().filter(|symbol| !symbol.is_whitespace());
        let symbols: Zeroizing<String> = Zeroizing::new(symbols.collect());
        let secret = Secret::try_from_base32(symbols.to_ascii_uppercase()).ok()?;
        Self::from_bytes(secret.as_bytes())
    }

    /// The code that an authenticator app shows at `now`: six digits.
    #[must_use]
    pub fn code_at(&self, now: Timestamp) -> String {
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        self.totp().generate(seconds).to_string()
    }

    /// The 20 bytes, to be sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Text form for typing: 32 symbols of base32 (RFC 4648) without padding.
    #[must_use]
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(self.totp().secret().to_base32())
    }

    /// Whether `base32_text` is this secret, whatever its case and with any spaces. In constant time.
    #[must_use]
    pub fn is(&self, base32_text: &str) -> bool {
        let ours = self.base32();
        let mut theirs = Zeroizing::new(Vec::with_capacity(ours.len() + 1));
        let symbols = base32_text
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace());
        // One more than a secret has, so that a longer text is not the secret either.
        theirs.extend(
            symbols
                .take(ours.len() + 1)
                .map(|byte| byte.to_ascii_uppercase()),
        );
        ours.as_bytes().ct_eq(&theirs).into()
    }

    /// `otpauth://totp/Issuer:account?secret=…&issuer=Issuer`, as authenticator apps read it.
    ///
    /// A colon parts the two names in there, so within a name it becomes a space; so do control characters. Names
    /// are cut at 64 and 254 bytes. Without an issuer, the account stands alone.
    #[must_use]
    pub fn otpauth_url(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        match self.named(issuer, account).to_url() {
            Ok(url) => Zeroizing::new(url),
            Err(_) => unreachable!("the account's name is not empty and has no colon"),
        }
    }

    /// [`TotpSecret::otpauth_url`] as a QR code: a PNG in shades of grey.
    ///
    /// # Errors
    /// [`QrError`]; not for names within the bounds, to which they are cut.
    pub fn qr_png(&self, issuer: &str, account: &str) -> Result<Vec<u8>, QrError> {
        self.named(issuer, account).to_qr_png().map_err(|_| QrError)
    }

    /// The step whose code this is, later than `after` and no more than `skew` steps from `now`; the oldest, should
    /// several have it. To be kept as the next `after`.
    #[must_use]
    pub fn matching_step(
        &self,
        code: &SixDigits,
        now: Timestamp,
        skew: u8,
        after: i64,
    ) -> Option<i64> {
        let (totp, middle) = (self.totp(), step_at(now));
        let window = middle - i64::from(skew)..=middle + i64::from(skew);
        // From the newest to the oldest, so that the oldest remains.
        window.rev().fold(None, |found, step| {
            let matches = has_code(&totp, step, code) && step > after;
            if matches { Some(step) } else { found }
        })
    }

    /// The TOTP of this secret without names, for codes alone.
    fn totp(&self) -> Totp {
        self.builder().build_noncompliant()
    }

    fn named(&self, issuer: &str, account: &str) -> Totp {
        let issuer = plain(issuer, MAX_ISSUER_BYTES);
        let account = plain(account, MAX_ACCOUNT_BYTES);
        let account = if account.is_empty() {
            NAMELESS
        } else {
            &account
        };
        self.builder()
            .with_issuer((!issuer.is_empty()).then_some(issuer))
            .with_account_name(account)
            .build_noncompliant()
    }

    /// Builder with its defaults SHA-1, six digits and 30 seconds, which a test checks. Its window has one step:
    /// [`TotpSecret::matching_step`] walks ours.
    fn builder(&self) -> Builder {
        let mut bytes = *self.0;
        let secret = Secret::new_stack(bytes);
        bytes.zeroize();
        Builder::new().with_skew(0).with_secret(secret)
    }
}

/// Whether `code` is that of `step`, compared in constant time. No code belongs to a time before the epoch.
fn has_code(totp: &Totp, step: i64, code: &SixDigits) -> bool {
    let begins = step.checked_mul(STEP_SECONDS).map(u64::try_from);
    let Some(Ok(seconds)) = begins else {
        return false;
    };
    totp.check(code.as_str(), seconds).is_some()
}

/// A name that cannot break the label: no colon, nothing invisible that moves the cursor, bounded.
fn plain(name: &str, max_bytes: usize) -> String {
    let breaks = |c: char| c == ':' || c.is_control();
    let name: String = name
        .chars()
        .map(|c| if breaks(c) { ' ' } else { c })
        .collect();
    let name = name.trim();
    name[..name.floor_char_boundary(max_bytes)]
        .trim_end()
        .to_owned()
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

#[cfg(test)]
mod tests;
