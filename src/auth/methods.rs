//! The methods of an account, as their owner sees and changes them.

use super::audit::Trail;
use super::error::FieldError;
use super::factor_change::{Holder, HolderRecords, require_proof};
use super::{Auth, Caller, Client, Error};
use crate::model::{
    Action, AuditEvent, Authenticator, Factors, Method, MethodId, MethodKind, Removed, Timestamp,
};
use crate::outbound::Event;
use crate::store::{Class, Draft, Durability};

/// The methods of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodList {
    /// All of them, at most one of each kind.
    pub methods: Vec<MethodView>,
    /// Which one the owner wants to be asked for first, if they said so.
    pub preferred: Option<MethodKind>,
}

/// A method as its owner sees it: without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodView {
    /// Names it.
    pub id: MethodId,
    /// What it is.
    pub kind: MethodKind,
    /// The number or address, masked: `***4567`, `ali***@example.com`.
    pub hint: Option<String>,
    /// Whether it is the one that logins ask for first.
    pub preferred: bool,
    /// Whether it can be used: too many failures in a row disable it.
    pub enabled: bool,
    /// When it was shown to work, and enabled by that.
    pub created_at: Timestamp,
    /// When it last proved its owner.
    pub last_used_at: Option<Timestamp>,
}

/// What its owner changes about a method; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MethodChange {
    /// Whether logins ask for it first.
    pub preferred: Option<bool>,
    /// `true` enables it again after failures disabled it. It cannot be disabled: remove it.
    pub enabled: Option<bool>,
}

/// Names a method of an account.
#[derive(Clone, Copy)]
enum Which {
    Named(MethodId),
    Kind(MethodKind),
}

impl Auth {
    /// The caller's methods.
    ///
    /// # Errors
    /// [`Error::StoreAway`].
    pub async fn methods(&self, caller: &Caller) -> Result<MethodList, Error> {
        let factors = self.store.read(caller.user.id.factors()).await?;
        Ok(factors
            .as_ref()
            .map_or_else(MethodList::none, MethodList::of))
    }

    /// Changes a method. The wish to be asked for one first is nobody else's business and ends nothing;
    /// to enable one again is a change of factors.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id and for somebody else's; [`Error::Invalid`] for `enabled:
    /// false`; [`Error::ReauthenticationRequired`] for `enabled: true` without a recent proof.
    pub async fn change_method(
        &self,
        client: &Client,
        caller: &Caller,
        id: MethodId,
        change: MethodChange,
    ) -> Result<(MethodView, Durability), Error> {
        match change.enabled {
            Some(true) => self.require_recent(caller).await?,
            Some(false) => return Err(cannot_be_disabled()),
            None => {}
        }
        let trail = self.trail(client);
        let decide = |records: HolderRecords, draft: &mut Draft| {
            let mut holder = Holder::of(records, trail.now)?;
            let kind = holder.factors.named_mut(id).ok_or(Error::NotFound)?.kind;
            if let Some(preferred) = change.preferred {
                write_preference(&mut holder, kind, preferred, &trail, draft);
            }
            if change.enabled == Some(true) {
                self.unlock(&mut holder, kind, &trail, draft)?;
            }
            let method = holder.factors.method(kind).ok_or(Error::NotFound)?;
            Ok::<_, Error>(MethodView::of(method, &holder.factors))
        };
        let changed = self
            .store
            .transact(Class::Grant, caller.holder_keys(), decide);
        let (view, receipt) = changed.await?;
        Ok((view, receipt.durable().await?))
    }

    /// Removes a method. With the last one the backup codes go, and logins ask for no second factor.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id and for somebody else's; [`Error::ReauthenticationRequired`]
    /// when another session changed the factors meanwhile.
    pub async fn remove_method(
        &self,
        client: &Client,
        caller: &Caller,
        id: MethodId,
    ) -> Result<Durability, Error> {
        self.remove(client, caller, Which::Named(id)).await
    }

    /// Removes the authenticator app. As [`Auth::remove_method`].
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn remove_totp(&self, client: &Client, caller: &Caller) -> Result<Durability, Error> {
        self.remove(client, caller, Which::Kind(MethodKind::Totp))
            .await
    }

    async fn remove(
        &self,
        client: &Client,
        caller: &Caller,
        which: Which,
    ) -> Result<Durability, Error> {
        let trail = self.trail(client);
        let decide = |records: HolderRecords, draft: &mut Draft| {
            let mut holder = Holder::proven(records, trail.now)?;
            let id = which.among(&holder.factors).ok_or(Error::NotFound)?;
            let removed = holder.factors.remove(id, trail.now);
            let removed = removed.ok_or(Error::NotFound)?;
            let (kind, last) = match removed {
                Removed::Others(kind) => (kind, false),
                Removed::Nothing(kind) => (kind, true),
            };
            holder.void_code(kind);
            let details = serde_json::json!({ "method": kind.label(), "last": last });
            let entry = entry(&holder, &trail, Action::FactorRemoved).with(details);
            self.write_change(&mut holder, &trail, &entry, told(&removed), draft)
        };
        let removed = self
            .store
            .transact(Class::Restrict, caller.holder_keys(), decide);
        let ((), receipt) = removed.await?;
        Ok(receipt.durable().await?)
    }

    /// Forgets the failures of a method that they disabled. Those of any other stay: only its own success
    /// clears them.
    fn unlock(
        &self,
        holder: &mut Holder,
        kind: MethodKind,
        trail: &Trail,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        require_proof(&holder.session, &holder.user)?;
        let method = holder.factors.method_mut(kind);
        let Some(method) = method.filter(|method| !method.strikes.allow()) else {
            return Ok(());
        };
        method.strikes.clear();
        let details = serde_json::json!({ "method": kind.label() });
        let entry = entry(holder, trail, Action::FactorUnlocked).with(details);
        let event = Event::SecondFactorAdded {
            method: Authenticator::Method(kind).into(),
        };
        self.write_change(holder, trail, &entry, event, draft)
    }
}

impl MethodList {
    fn none() -> Self {
        Self {
            methods: Vec::new(),
            preferred: None,
        }
    }

    fn of(factors: &Factors) -> Self {
        let view = |method| MethodView::of(method, factors);
        Self {
            methods: factors.methods.iter().map(view).collect(),
            preferred: factors.preferred,
        }
    }
}

impl MethodView {
    fn of(method: &Method, factors: &Factors) -> Self {
        let first = factors.asked_first();
        Self {
            id: method.id,
            kind: method.kind,
            hint: method.hint.clone(),
            preferred: first == Some(Authenticator::Method(method.kind)),
            enabled: method.strikes.allow(),
            created_at: method.created_at,
            last_used_at: method.last_used_at,
        }
    }
}

impl Which {
    fn among(self, factors: &Factors) -> Option<MethodId> {
        match self {
            Self::Named(id) => Some(id),
            Self::Kind(kind) => factors.method(kind).map(|method| method.id),
        }
    }
}

fn write_preference(
    holder: &mut Holder,
    kind: MethodKind,
    preferred: bool,
    trail: &Trail,
    draft: &mut Draft,
) {
    if holder.factors.prefer(kind, preferred, trail.now) {
        draft.put(&holder.factors);
        let details = serde_json::json!({ "method": kind.label(), "preferred": preferred });
        draft.trace(&entry(holder, trail, Action::FactorPreferred).with(details));
    }
}

/// What the owner is told of a removal.
fn told(removed: &Removed) -> Event {
    match removed {
        Removed::Nothing(_) => Event::SecondFactorsOff,
        Removed::Others(kind) => Event::SecondFactorRemoved {
            method: Authenticator::Method(*kind).into(),
        },
    }
}

fn entry(holder: &Holder, trail: &Trail, action: Action) -> AuditEvent {
    trail.session_entry(action, holder.user.id, holder.session.id)
}

fn cannot_be_disabled() -> Error {
    Error::Invalid(vec![FieldError {
        field: "enabled",
        code: "unsupported",
        message: "can only be true: remove the method instead".to_owned(),
    }])
}
