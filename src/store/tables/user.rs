//! Accounts: table `users`.

use std::time::Duration;

use super::{ACCOUNT_STAYS, Table, UniqueName};
use crate::model::{Identifier, IdentifierKind, Timestamp, User, UserId};
use crate::store::record::{Record, RecordId, Unique};

/// E-mail address of an account, in its normal form.
pub const EMAIL: &UniqueName = &UniqueName {
    index: "users_email_key",
    label: "email",
};

/// Username of an account, in its normal form.
pub const USERNAME: &UniqueName = &UniqueName {
    index: "users_username_key",
    label: "username",
};

pub(super) static USERS: Table = Table::durable(
    "user",
    "users",
    &[
        "id",
        "email",
        "email_key",
        "username",
        "username_key",
        "email_verified_at",
        "password_hash",
        "two_factor_enabled",
        "roles",
        "session_epoch",
        "device_epoch",
        "proof_epoch",
        "disabled_at",
        "created_at",
        "updated_at",
        "deleted_at",
    ],
)
.renewed_by_use(ACCOUNT_STAYS)
.checked_from_memory()
.unique::<User>(&[EMAIL, USERNAME]);

impl RecordId for UserId {
    type Record = User;
}

impl Record for User {
    type Id = UserId;

    const TABLE: &'static Table = &USERS;

    fn id(&self) -> UserId {
        self.id
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, _now: Timestamp) -> Duration {
        ACCOUNT_STAYS
    }
}

impl Unique for User {
    fn identifiers(&self) -> Vec<Identifier> {
        let of = |kind, key: &String| Identifier {
            kind,
            key: key.clone(),
        };
        vec![
            of(IdentifierKind::Email, &self.email_key),
            of(IdentifierKind::Username, &self.username_key),
        ]
    }

    fn withdraw(&mut self, now: Timestamp) {
        self.deleted_at.get_or_insert(now);
    }

    fn restore(&mut self, name: &UniqueName, stored: &Self) {
        if name == EMAIL {
            self.email.clone_from(&stored.email);
            self.email_key.clone_from(&stored.email_key);
            self.email_verified_at = stored.email_verified_at;
        } else {
            self.username.clone_from(&stored.username);
            self.username_key.clone_from(&stored.username_key);
        }
    }
}

/// The unique name behind a login name.
pub(crate) fn unique_name(kind: IdentifierKind) -> &'static UniqueName {
    match kind {
        IdentifierKind::Email => EMAIL,
        IdentifierKind::Username => USERNAME,
    }
}
