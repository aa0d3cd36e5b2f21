//! The second factors of an account: its methods and its backup codes.
//!
//! They are one record, so that its version is the lock for everything that may happen once: a TOTP step, a
//! backup code, the last method's removal. Only logins with a second factor read it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rotation::same;
use super::{FactorsId, MethodId, Strikes, Timestamp, UserId};

/// The second factors of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factors {
    /// Equals the account's id.
    pub id: FactorsId,
    /// At most one of each kind. Empty: no second factor is due.
    pub methods: Vec<Method>,
    /// Method that the owner wants to be asked for first.
    pub preferred: Option<MethodKind>,
    /// Backup codes, for an owner who has lost all methods.
    pub backup: Option<BackupCodes>,
    /// Version of the oldest key that any secret here is sealed with.
    pub sealed_with: i32,
    /// Time at which the first method was enabled.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
    /// Time of erasure, with the account.
    pub deleted_at: Option<Timestamp>,
}

/// A second factor that its owner has shown to work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Id of the method; its secret is sealed for it.
    pub id: MethodId,
    /// Kind of method.
    pub kind: MethodKind,
    /// TOTP secret, phone number or mail address, sealed.
    pub secret: String,
    /// The number or address, masked: `***4567`, `ali***@example.com`.
    pub hint: Option<String>,
    /// The newest TOTP step that was accepted; only later ones are.
    pub last_step: i64,
    /// Failures in a row.
    pub strikes: Strikes,
    /// Time at which it was enabled.
    pub created_at: Timestamp,
    /// Time of its last success.
    pub last_used_at: Option<Timestamp>,
}

/// Kinds of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// Codes of an authenticator app (RFC 6238).
    Totp,
    /// Codes sent to a phone.
    Sms,
    /// Codes sent by mail.
    Email,
}

/// A means to prove a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authenticator {
    /// One of the methods.
    Method(MethodKind),
    /// A backup code.
    BackupCode,
}

/// Whether an authenticator may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It may.
    Allowed,
    /// It failed too often, and its owner has no other: it may be tried once in a while, and next at this time.
    NotBefore(Timestamp),
    /// There is none, or it is disabled and others are not.
    Impossible,
}

/// Backup codes: one salt for the set, so that an attempt costs one hash however many are left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupCodes {
    /// Argon2id parameters and salt, as a PHC string without a hash.
    #[serde(rename = "recipe")]
    pub phc_prefix: String,
    /// Tags of the codes that are left.
    pub tags: Vec<String>,
    /// Failures in a row of the whole set.
    pub strikes: Strikes,
    /// Time at which the set was made.
    pub created_at: Timestamp,
}

/// Result of the removal of a method, whose kind it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Other methods are left.
    Others(MethodKind),
    /// No method is left: no second factor is due any more, and the backup codes are removed.
    Nothing(MethodKind),
}

impl MethodKind {
    /// Label in the API, in metrics and in audit entries.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }

    /// Authentication method reference (`amr`) of a login with it (RFC 8176, which has none for mail).
    #[must_use]
    pub const fn reference(self) -> &'static str {
        match self {
            Self::Totp => "otp",
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }
}

impl fmt::Display for MethodKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Authenticator {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Method(MethodKind::Totp),
        Self::Method(MethodKind::Sms),
        Self::Method(MethodKind::Email),
        Self::BackupCode,
    ];

    /// Label in the API, in metrics and in audit entries.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Method(kind) => kind.label(),
            Self::BackupCode => "backup_code",
        }
    }

    /// Authentication method reference (`amr`) of a login with it.
    #[must_use]
    pub const fn reference(self) -> &'static str {
        match self {
            Self::Method(kind) => kind.reference(),
            Self::BackupCode => "backup_code",
        }
    }
}

impl Factors {
    /// The record of an account without second factors.
    #[must_use]
    pub fn none(user: UserId, now: Timestamp) -> Self {
        Self {
            id: user.factors(),
            methods: Vec::new(),
            preferred: None,
            backup: None,
            sealed_with: i32::MAX,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }

    /// Enables a method, in the place of the one of its kind. `sealed_with` is its key's version. Returns
    /// whether it is the first of all.
    pub fn enable(&mut self, method: Method, sealed_with: i32, now: Timestamp) -> bool {
        let first = self.methods.is_empty();
        if first {
            self.created_at = now;
            self.sealed_with = i32::MAX;
        }
        self.methods.retain(|other| other.kind != method.kind);
        self.methods.push(method);
        self.methods.sort_by_key(|method| method.kind);
        self.sealed_with = self.sealed_with.min(sealed_with);
        self.updated_at = now;
        first
    }

    /// Puts a set of backup codes in the place of the old one.
    pub fn renew_backup_codes(&mut self, phc_prefix: String, tags: Vec<String>, now: Timestamp) {
        self.backup = Some(BackupCodes {
            phc_prefix,
            tags,
            strikes: Strikes::default(),
            created_at: now,
        });
        self.updated_at = now;
    }

    /// Prefers the method of a kind, or ends its preference. Returns whether anything changed.
    pub fn prefer(&mut self, kind: MethodKind, preferred: bool, now: Timestamp) -> bool {
        let changes = preferred != (self.preferred == Some(kind));
        if changes {
            self.preferred = preferred.then_some(kind);
            self.updated_at = now;
        }
        changes
    }

    /// Removes a method. With the last one the backup codes go.
    pub fn remove(&mut self, id: MethodId, now: Timestamp) -> Option<Removed> {
        let position = self.methods.iter().position(|method| method.id == id)?;
        let kind = self.methods.remove(position).kind;
        if self.preferred == Some(kind) {
            self.preferred = None;
        }
        self.updated_at = now;
        if !self.methods.is_empty() {
            return Some(Removed::Others(kind));
        }
        self.backup = None;
        Some(Removed::Nothing(kind))
    }

    /// The method of a kind.
    #[must_use]
    pub fn method(&self, kind: MethodKind) -> Option<&Method> {
        self.methods.iter().find(|method| method.kind == kind)
    }

    /// The method of a kind, to be changed.
    pub fn method_mut(&mut self, kind: MethodKind) -> Option<&mut Method> {
        self.methods.iter_mut().find(|method| method.kind == kind)
    }

    /// A method by its id, to be changed.
    pub fn named_mut(&mut self, id: MethodId) -> Option<&mut Method> {
        self.methods.iter_mut().find(|method| method.id == id)
    }

    /// Everything that can be used, methods first. When all of it is disabled, all of it: so that strangers who know the
    /// password do not lock the owner out for good, each may be tried once in a while.
    #[must_use]
    pub fn offered(&self) -> Vec<Authenticator> {
        let methods = self.methods.iter();
        let methods = methods.map(|one| (Authenticator::Method(one.kind), &one.strikes));
        let backup = self.backup.iter().filter(|codes| !codes.tags.is_empty());
        let backup = backup.map(|codes| (Authenticator::BackupCode, &codes.strikes));
        let all: Vec<_> = methods.chain(backup).collect();
        let none_enabled = !all.iter().any(|(_, strikes)| strikes.allow());
        let usable = all
            .into_iter()
            .filter(|(_, strikes)| none_enabled || strikes.allow());
        usable.map(|(authenticator, _)| authenticator).collect()
    }

    /// Whether an authenticator may be tried at `now`.
    #[must_use]
    pub fn trial(&self, authenticator: Authenticator, now: Timestamp) -> Trial {
        if !self.offered().contains(&authenticator) {
            return Trial::Impossible;
        }
        let strikes = match authenticator {
            Authenticator::Method(kind) => self.method(kind).map(|method| &method.strikes),
            Authenticator::BackupCode => self.backup.as_ref().map(|codes| &codes.strikes),
        };
        let disabled = strikes.filter(|strikes| !strikes.allow());
        match disabled
            .and_then(Strikes::next_try_at)
            .filter(|at| now < *at)
        {
            Some(at) => Trial::NotBefore(at),
            None => Trial::Allowed,
        }
    }

    /// Removes all methods and backup codes. Returns how many methods there were.
    pub fn clear(&mut self, now: Timestamp) -> usize {
        let removed = self.methods.len();
        self.methods.clear();
        (self.preferred, self.backup) = (None, None);
        self.updated_at = now;
        removed
    }

    /// Authenticator to ask for first: the owner's preference, else the first that can be used.
    #[must_use]
    pub fn asked_first(&self) -> Option<Authenticator> {
        let offered = self.offered();
        let wish = self.preferred.map(Authenticator::Method);
        let wish = wish.filter(|wish| offered.contains(wish));
        wish.or_else(|| offered.first().copied())
    }

    /// Failures of an authenticator, to be changed.
    pub fn strikes_mut(&mut self, authenticator: Authenticator) -> Option<&mut Strikes> {
        match authenticator {
            Authenticator::Method(kind) => self.method_mut(kind).map(|method| &mut method.strikes),
            Authenticator::BackupCode => self.backup.as_mut().map(|codes| &mut codes.strikes),
        }
    }

    /// Notes that an authenticator proved its owner.
    pub fn succeed(&mut self, authenticator: Authenticator, now: Timestamp) {
        if let Some(strikes) = self.strikes_mut(authenticator) {
            strikes.clear();
        }
        if let Authenticator::Method(kind) = authenticator
            && let Some(method) = self.method_mut(kind)
        {
            method.last_used_at = Some(now);
        }
        self.updated_at = now;
    }

    /// Number of backup codes that are left.
    #[must_use]
    pub fn backup_codes_left(&self) -> usize {
        self.backup.as_ref().map_or(0, |codes| codes.tags.len())
    }
}

impl BackupCodes {
    /// Removes the code with this tag. Returns whether there was one; each tag is compared.
    pub fn consume(&mut self, tag: &str) -> bool {
        let before = self.tags.len();
        self.tags.retain(|known| !same(known, tag));
        self.tags.len() < before
    }
}

/// A masked phone number, which its owner recognises: `***4567`.
#[must_use]
pub fn masked_phone(number: &str) -> String {
    let from = number.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    format!("***{}", &number[from..])
}

/// A masked mail address, which its owner recognises: `ali***@example.com`.
#[must_use]
pub fn masked_email(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    // A short name would be shown whole.
    let shown = local.chars().count().saturating_sub(1).min(3);
    let shown: String = local.chars().take(shown).collect();
    format!("{shown}***@{domain}")
}

#[cfg(test)]
mod tests;
