//! The methods of an account, as their owner sees and changes them.

use super::factor_owner::{self, FactorOwner, OwnerRecords};
use crate::auth::session::{require_proof, require_recent};
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::{Caller, Client, Core, Durability, Error, FieldError, ProblemKind};
use crate::model::{
    Authenticator, Factors, Method, MethodId, MethodKind, Removed, SecurityEvent, Timestamp, User,
};
use crate::outbound::Event;
use crate::store::Class;

/// The methods of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodList {
    /// All of them, at most one of each kind.
    pub methods: Vec<MethodView>,
    /// The one that the owner wants to be asked for first, if they said so.
    pub preferred: Option<MethodKind>,
}

/// A method as its owner sees it: without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodView {
    /// Its id.
    pub id: MethodId,
    /// Its kind.
    pub kind: MethodKind,
    /// The number or address, masked: `***4567`, `ali***@example.com`.
    pub hint: Option<String>,
    /// Whether logins ask for it first.
    pub preferred: bool,
    /// Whether it can be used: too many failures in a row disable it.
    pub enabled: bool,
    /// Time when it was shown to work, and enabled by that.
    pub created_at: Timestamp,
    /// Time of its last success.
    pub last_used_at: Option<Timestamp>,
}

/// Changes of a method; `None` leaves as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MethodChange {
    /// Whether logins ask for it first.
    pub preferred: Option<bool>,
    /// `true` enables it again after failures disabled it. It cannot be disabled: remove it.
    pub enabled: Option<bool>,
}

/// Selection of a method of an account.
#[derive(Clone, Copy)]
enum Selected {
    ById(MethodId),
    ByKind(MethodKind),
}

/// The methods of an account.
///
/// # Errors
/// [`Error::StoreAway`].
pub async fn list(core: &Core, user: &User) -> Result<MethodList, Error> {
    let factors = core.store.read(user.id.factors()).await?;
    Ok(factors
        .as_ref()
        .map_or_else(MethodList::none, MethodList::of))
}

/// Changes a method. The wish to be asked for one first ends nothing; to enable one again is a change of factors.
///
/// # Errors
/// [`ProblemKind::NotFound`] for an unknown id and for another account's; [`Error::Invalid`] for `enabled:
/// false`; [`Error::ReauthenticationRequired`] for `enabled: true` without a recent proof.
pub async fn change(
    core: &Core,
    client: &Client,
    caller: &Caller,
    id: MethodId,
    wanted: MethodChange,
) -> Result<(MethodView, Durability), Error> {
    match wanted.enabled {
        Some(true) => require_recent(core, caller).await?,
        Some(false) => return Err(cannot_be_disabled()),
        None => {}
    }
    let context = RequestContext::new(core, client);
    let decide = |records: OwnerRecords, change: &mut Change<'_>| {
        let mut owner = FactorOwner::live(records, change.now())?;
        let kind = owner
            .factors
            .named_mut(id)
            .ok_or(ProblemKind::NotFound)?
            .kind;
        if let Some(preferred) = wanted.preferred {
            write_preference(&mut owner, kind, preferred, change);
        }
        if wanted.enabled == Some(true) {
            unlock(&mut owner, kind, change)?;
        }
        let method = owner.factors.method(kind).ok_or(ProblemKind::NotFound)?;
        Ok(MethodView::of(method, &owner.factors))
    };
    let keys = factor_owner::keys(caller);
    let changed = change::commit(core, &context, Class::Grant, keys, decide).await?;
    changed.durable().await
}

/// Removes a method. With the last one the backup codes go, and logins ask for no second factor.
///
/// # Errors
/// [`ProblemKind::NotFound`] for an unknown id and for another account's; [`Error::ReauthenticationRequired`]
/// when another session changed the factors meanwhile.
pub async fn remove(
    core: &Core,
    client: &Client,
    caller: &Caller,
    id: MethodId,
) -> Result<Durability, Error> {
    remove_selected(core, client, caller, Selected::ById(id)).await
}

/// Removes the authenticator app. As [`remove`].
///
/// # Errors
/// [`ProblemKind::NotFound`] when there is none.
pub async fn remove_totp(
    core: &Core,
    client: &Client,
    caller: &Caller,
) -> Result<Durability, Error> {
    remove_selected(core, client, caller, Selected::ByKind(MethodKind::Totp)).await
}

async fn remove_selected(
    core: &Core,
    client: &Client,
    caller: &Caller,
    selected: Selected,
) -> Result<Durability, Error> {
    let context = RequestContext::new(core, client);
    let decide = |records: OwnerRecords, change: &mut Change<'_>| {
        let mut owner = FactorOwner::proven(records, change.now())?;
        let id = selected
            .among(&owner.factors)
            .ok_or(ProblemKind::NotFound)?;
        let removed = owner.factors.remove(id, change.now());
        let removed = removed.ok_or(ProblemKind::NotFound)?;
        let (kind, last) = match removed {
            Removed::Others(kind) => (kind, false),
            Removed::Nothing(kind) => (kind, true),
        };
        owner.void_code(kind);
        let method = kind.label();
        let event = SecurityEvent::FactorRemoved { method, last };
        Ok(owner.write_change(&event, told(&removed), change)?)
    };
    let keys = factor_owner::keys(caller);
    let removed = change::commit(core, &context, Class::Restrict, keys, decide).await?;
    Ok(removed.durable().await?.1)
}

/// Forgets the failures of a method that they disabled. Those of any other stay: only its own success
/// clears them.
fn unlock(owner: &mut FactorOwner, kind: MethodKind, change: &mut Change<'_>) -> Result<(), Error> {
    require_proof(&owner.session, &owner.user, Some(&owner.factors))?;
    let method = owner.factors.method_mut(kind);
    let Some(method) = method.filter(|method| !method.strikes.allow()) else {
        return Ok(());
    };
    method.strikes.clear();
    let told = Event::SecondFactorAdded {
        method: Authenticator::Method(kind).into(),
    };
    let method = kind.label();
    owner.write_change(&SecurityEvent::FactorUnlocked { method }, told, change)
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

impl Selected {
    fn among(self, factors: &Factors) -> Option<MethodId> {
        match self {
            Self::ById(id) => Some(id),
            Self::ByKind(kind) => factors.method(kind).map(|method| method.id),
        }
    }
}

fn write_preference(
    owner: &mut FactorOwner,
    kind: MethodKind,
    preferred: bool,
    change: &mut Change<'_>,
) {
    if owner.factors.prefer(kind, preferred, change.now()) {
        let method = kind.label();
        change
            .record(
                &owner.session,
                &SecurityEvent::FactorPreferred { method, preferred },
            )
            .put(&owner.factors);
    }
}

/// The notice of a removal.
fn told(removed: &Removed) -> Event {
    match removed {
        Removed::Nothing(_) => Event::SecondFactorsOff,
        Removed::Others(kind) => Event::SecondFactorRemoved {
            method: Authenticator::Method(*kind).into(),
        },
    }
}

fn cannot_be_disabled() -> Error {
    Error::Invalid(vec![FieldError {
        field: "enabled",
        code: "unsupported",
        message: "can only be true: remove the method instead".to_owned(),
    }])
}
