//! Access tokens: PASETO v4.public, verifiable elsewhere with the published keys.
//!
//! To verify one elsewhere: fetch `/.well-known/paseto-keys.json`, take the key that the token's footer names
//! (`{"kid":"k4.pid.…"}`), verify as `v4.public` with the implicit assertion [`IMPLICIT_ASSERTION`], then check `iss`,
//! `aud`, `nbf` and `exp`. A session that was ended makes its tokens invalid at once; only this service knows that.
//!
//! Times in the payload are RFC 3339 strings in UTC, `auth_time` too.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pasetors::Public;
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::keys::{self, SigningKey};
use super::{InvalidToken, Keys};
use crate::clock;
use crate::config;
use crate::model::{Authenticator, SessionId, Timestamp, UserId};

/// Implicit assertion: signed with every access token but not part of it, so that nothing else that we sign
/// passes as one.
pub const IMPLICIT_ASSERTION: &str = "sallyport access token";

/// `acr` of a session whose owner showed a password alone, and of one with a second factor.
const ONE_FACTOR: &str = "urn:sallyport:acr:1fa";
const TWO_FACTORS: &str = "urn:sallyport:acr:2fa";
/// Longest token, in bytes; a longer one is not ours.
const MAX_LENGTH: usize = 4096;
/// Most tokens kept as verified; about 12 MB when full.
const CACHE_CAPACITY: usize = 32_768;

/// Claims of an access token.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// `sub`
    pub user_id: UserId,
    /// `sid`
    pub session_id: SessionId,
    /// `iat`; in whole seconds it is `nbf`, too, since there are verifiers whose clock has no fractions
    pub issued_at: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// `auth_time`
    pub auth_time: Timestamp,
    /// `amr`
    pub amr: Vec<String>,
    /// `roles`
    pub roles: Vec<String>,
}

/// The payload as signed.
#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: UserId,
    sid: SessionId,
    jti: String,
    iat: Timestamp,
    nbf: Timestamp,
    exp: Timestamp,
    auth_time: Timestamp,
    acr: &'static str,
    amr: &'a [String],
    roles: &'a [String],
}

/// The payload as read, after its signature was verified.
#[derive(Deserialize)]
struct Signed {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    iat: Timestamp,
    nbf: Timestamp,
    exp: Timestamp,
    auth_time: Timestamp,
    amr: Vec<String>,
    roles: Vec<String>,
}

/// `acr` of a session with these proofs: with or without a second factor. (A trusted device is none.)
fn context_class(amr: &[String]) -> &'static str {
    let is_second = |proof: &String| {
        Authenticator::ALL
            .iter()
            .any(|factor| factor.reference() == proof)
    };
    if amr.iter().any(is_second) {
        TWO_FACTORS
    } else {
        ONE_FACTOR
    }
}

/// Issues and verifies access tokens.
pub struct AccessTokens {
    /// Oldest first. Never empty.
    keys: Vec<Arc<SigningKey>>,
    issuer: String,
    audience: String,
    leeway: Duration,
    verified: Cache<[u8; 32], Arc<Verified>>,
}

/// A token of which signature, issuer and audience were verified. Times are checked at each use.
struct Verified {
    claims: Arc<Claims>,
    /// The later of `iat` and `nbf`.
    not_before: Timestamp,
    key: Arc<SigningKey>,
}

impl AccessTokens {
    /// Issues and verifies with the keys and names of this deployment.
    #[must_use]
    pub fn new(keys: &Keys, settings: &config::Tokens) -> Self {
        Self {
            keys: keys.signing().to_vec(),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            leeway: settings.leeway,
            verified: Cache::new(CACHE_CAPACITY),
        }
    }

    /// Signs with the key that is active at `claims.issued_at`, and keeps the token as verified: it usually comes
    /// back soon, and needs no check of its signature then.
    ///
    /// # Panics
    /// Never: keys were checked when they were loaded, and claims are always JSON.
    #[must_use]
    pub fn issue(&self, claims: &Claims) -> String {
        let id: [u8; 16] = clock::random();
        let payload = Payload {
            iss: &self.issuer,
            aud: &self.audience,
            sub: claims.user_id,
            sid: claims.session_id,
            jti: URL_SAFE_NO_PAD.encode(id),
            iat: claims.issued_at,
            nbf: claims.issued_at.in_whole_seconds(),
            exp: claims.expires_at,
            auth_time: claims.auth_time,
            acr: context_class(&claims.amr),
            amr: &claims.amr,
            roles: &claims.roles,
        };
        let key = keys::active(&self.keys, claims.issued_at);
        let token = serde_json::to_vec(&payload)
            .ok()
            .and_then(|payload| sign(key, &payload));
        let Some(token) = token else {
            unreachable!("a checked key signs any JSON");
        };
        let verified = Verified {
            claims: Arc::new(claims.clone()),
            not_before: claims.issued_at,
            key: Arc::clone(key),
        };
        self.verified.insert(cache_key(&token), Arc::new(verified));
        token
    }

    /// Checks signature, key window, issuer, audience, kind and times.
    ///
    /// # Errors
    /// [`InvalidToken`], whatever is wrong with it.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, InvalidToken> {
        if token.len() > MAX_LENGTH {
            return Err(InvalidToken);
        }
        let key = cache_key(token);
        if let Some(known) = self.verified.get(&key) {
            return self.timely(&known, now);
        }
        let verified = Arc::new(self.check(token)?);
        let claims = self.timely(&verified, now)?;
        self.verified.insert(key, verified);
        Ok(claims)
    }

    /// As [`AccessTokens::verify`], whatever the times: for ending the session of the token, never for
    /// authentication.
    ///
    /// # Errors
    /// [`InvalidToken`], whatever else is wrong with it.
    pub fn verify_expired(&self, token: &str) -> Result<Arc<Claims>, InvalidToken> {
        if token.len() > MAX_LENGTH {
            return Err(InvalidToken);
        }
        self.check(token).map(|verified| verified.claims)
    }

    /// Body of `/.well-known/paseto-keys.json`: every key that has not ended, the next one too, so that other
    /// verifiers know it before it is used.
    #[must_use]
    pub fn public_keys(&self, now: Timestamp) -> serde_json::Value {
        let keys = self.keys.iter();
        let kept = keys.filter(|key| key.window.not_after.is_none_or(|end| now < end));
        let listed = kept.map(|key| {
            serde_json::json!({
                "kid": key.kid,
                "version": "v4",
                "purpose": "public",
                "paserk": key.public_paserk(),
                "notBefore": key.window.not_before,
                "notAfter": key.window.not_after,
            })
        });
        serde_json::json!({ "keys": listed.collect::<Vec<_>>() })
    }

    /// Checks everything but the times.
    fn check(&self, token: &str) -> Result<Verified, InvalidToken> {
        let untrusted = UntrustedToken::<Public, V4>::try_from(token).map_err(|_| InvalidToken)?;
        let key = self.named_in(untrusted.untrusted_footer())?;
        let assertion = Some(IMPLICIT_ASSERTION.as_bytes());
        PublicToken::verify(&key.public, &untrusted, None, assertion).map_err(|_| InvalidToken)?;
        let signed: Signed =
            serde_json::from_slice(untrusted.untrusted_payload()).map_err(|_| InvalidToken)?;
        if signed.iss != self.issuer || signed.aud != self.audience {
            return Err(InvalidToken);
        }
        if signed.sub.partition() != signed.sid.partition() {
            return Err(InvalidToken);
        }
        Ok(Verified {
            not_before: signed.iat.max(signed.nbf),
            claims: Arc::new(signed.into()),
            key: Arc::clone(key),
        })
    }

    /// The signing key that the footer names, if it is exactly the footer of one. Nothing untrusted is parsed.
    fn named_in(&self, untrusted_footer: &[u8]) -> Result<&Arc<SigningKey>, InvalidToken> {
        let mut keys = self.keys.iter();
        keys.find(|key| footer(key).as_bytes() == untrusted_footer)
            .ok_or(InvalidToken)
    }

    fn timely(&self, verified: &Verified, now: Timestamp) -> Result<Arc<Claims>, InvalidToken> {
        let Verified {
            claims,
            not_before,
            key,
        } = verified;
        let begun = *not_before <= now.after(self.leeway);
        let ended = now >= claims.expires_at.after(self.leeway);
        if begun && !ended && key.window.holds(now, self.leeway) {
            Ok(Arc::clone(claims))
        } else {
            Err(InvalidToken)
        }
    }
}

impl From<Signed> for Claims {
    fn from(signed: Signed) -> Self {
        Self {
            user_id: signed.sub,
            session_id: signed.sid,
            issued_at: signed.iat,
            expires_at: signed.exp,
            auth_time: signed.auth_time,
            amr: signed.amr,
            roles: signed.roles,
        }
    }
}

/// Key of a verified token in the cache.
fn cache_key(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn footer(key: &SigningKey) -> String {
    format!(r#"{{"kid":"{}"}}"#, key.kid)
}

fn sign(key: &SigningKey, payload: &[u8]) -> Option<String> {
    let assertion = Some(IMPLICIT_ASSERTION.as_bytes());
    PublicToken::sign(
        &key.secret,
        payload,
        Some(footer(key).as_bytes()),
        assertion,
    )
    .ok()
}

#[cfg(test)]
mod tests;
