//! Records that a test of the store writes, and the commits that write them.

use std::time::Duration;

use sallyport::model::{
    Action, ApiKey, AuditEvent, Challenge, ClientInfo, Factors, Identifier, Method, MethodKind,
    NewApiKey, Session, SessionId, Strikes, TrustedDevice, User, UserId,
};
use sallyport::store::{Class, Error, Receipt, Store};

use super::TestStores;

impl TestStores {
    pub fn user(&self, name: &str) -> User {
        let now = self.clock.now();
        User {
            id: self.clock.new_id(),
            email: format!("{name}@example.com"),
            email_key: format!("{name}@example.com"),
            username: name.to_owned(),
            username_key: name.to_owned(),
            email_verified_at: None,
            password_hash: Some("$argon2id$…".to_owned()),
            two_factor_enabled: false,
            roles: Vec::new(),
            session_epoch: 0,
            device_epoch: 0,
            proof_epoch: 0,
            disabled_at: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }

    pub fn session(&self, user: &User) -> Session {
        let now = self.clock.now();
        Session {
            id: self.clock.new_id_in(user.id.partition()),
            user_id: user.id,
            epoch: user.session_epoch,
            generation: 1,
            refresh_hash: "00".repeat(32),
            previous_hash: None,
            successor: None,
            rotated_at: now,
            newest_used_at: None,
            proof_epoch: 0,
            amr: vec!["pwd".to_owned()],
            auth_time: now,
            second_factor_at: None,
            ip_address: "192.0.2.7".parse().expect("address"),
            user_agent: "test".to_owned(),
            created_at: now,
            last_used_at: now,
            idle_expires_at: now.after(Duration::from_hours(1)),
            expires_at: now.after(Duration::from_hours(2)),
            deleted_at: None,
        }
    }

    /// A challenge as the first factor leaves it.
    pub fn challenge(&self, user: &User) -> Challenge {
        let now = self.clock.now();
        Challenge {
            id: self.clock.new_id_in(user.id.partition()),
            user_id: user.id,
            secret_hash: "00".repeat(32),
            session_epoch: user.session_epoch,
            user_agent: "test".to_owned(),
            first_factor: "pwd".to_owned(),
            tries: 0,
            created_at: now,
            expires_at: now.after(Duration::from_mins(5)),
        }
    }

    /// Second factors with one method and a set of backup codes.
    pub fn factors(&self, user: &User) -> Factors {
        let now = self.clock.now();
        let mut factors = Factors::none(user.id, now);
        let method = Method {
            id: self.clock.new_id_in(user.id.partition()),
            kind: MethodKind::Totp,
            secret: "s1.sealed".to_owned(),
            hint: None,
            last_step: 0,
            strikes: Strikes::default(),
            created_at: now,
            last_used_at: None,
        };
        factors.enable(method, 1, now);
        factors.renew_backup_codes("$argon2id$…".to_owned(), vec!["tag".to_owned()], now);
        factors
    }

    /// A device that the account trusts.
    pub fn device(&self, user: &User) -> TrustedDevice {
        let seen = ClientInfo {
            ip_address: "192.0.2.7".parse().expect("address"),
            user_agent: "test".to_owned(),
        };
        TrustedDevice::trust(
            self.clock.new_id_in(user.id.partition()),
            user,
            "00".repeat(32),
            "Laptop".to_owned(),
            seen,
            self.clock.now(),
            Duration::from_hours(1),
        )
    }

    pub fn api_key(&self, user: &User) -> ApiKey {
        let new = NewApiKey {
            name: "build server".to_owned(),
            scopes: vec!["user:read".to_owned()],
            allowed_ips: Vec::new(),
            rate_limit: None,
            expires_at: None,
        };
        let id = self.clock.new_id_in(user.id.partition());
        let secret = ("pk_live_00000000".to_owned(), "00".repeat(32));
        ApiKey::create(id, user.id, new, secret, self.clock.now())
    }

    pub fn event(&self, user: &User, action: Action) -> AuditEvent {
        AuditEvent {
            id: self.clock.new_id_in(user.id.partition()),
            user_id: Some(user.id),
            session_id: None,
            actor_kind: None,
            actor_id: None,
            actor_session_id: None,
            actor_key_id: None,
            action,
            success: true,
            ip_address: Some("192.0.2.7".parse().expect("address")),
            user_agent: None,
            request_id: None,
            details: serde_json::json!({}),
            created_at: self.clock.now(),
        }
    }
}

/// Names of an account.
pub fn names(user: &User) -> [Identifier; 2] {
    use sallyport::model::IdentifierKind::{Email, Username};
    [
        Identifier {
            kind: Email,
            key: user.email_key.clone(),
        },
        Identifier {
            kind: Username,
            key: user.username_key.clone(),
        },
    ]
}

/// Commits a new account with its audit entry.
pub async fn add(store: &Store, stores: &TestStores, user: &User) -> Result<Receipt, Error> {
    let added = store
        .transact(Class::Grant, user.id, |found: Option<User>, draft| {
            assert!(found.is_none(), "a new id is free");
            draft.put(user);
            draft.audit(&stores.event(user, Action::UserRegistered));
            Ok::<_, Error>(())
        })
        .await?;
    Ok(added.1)
}

/// Raises the account's device epoch by one, and tells the new one.
pub async fn bump(store: &Store, id: UserId) -> Result<(i64, Receipt), Error> {
    store
        .transact(Class::Restrict, id, |user: Option<User>, draft| {
            let mut user = user.ok_or_else(|| Error::Corrupt("user is gone".to_owned()))?;
            user.device_epoch += 1;
            draft.put(&user);
            Ok(user.device_epoch)
        })
        .await
}

/// Opens a session.
pub async fn open_session(
    store: &Store,
    stores: &TestStores,
    user: &User,
) -> Result<(SessionId, Receipt), Error> {
    let session = stores.session(user);
    store
        .transact(Class::Session, (session.id, user.id), |_, draft| {
            draft.put(&session);
            Ok(session.id)
        })
        .await
}
