//! The one shape of a change: read, decide in a pure function, write records together with the security event
//! that tells about them, perhaps a notice to the owner, one receipt.
//!
//! A lasting record can only be written beside an event: [`Change::record`] returns the only writer there is.
//! The exceptions are named: [`bookkeeping`] writes changes without an audit entry (last use, token rotation,
//! re-sealing).

use super::audit::{RequestContext, Subject};
use super::{Core, Error, notifications};
use crate::model::{Challenge, ChallengeId, Partition, SecurityEvent, Timestamp, User, UserId};
use crate::outbound::{Channel, Event, Message};
use crate::store::{self, Class, Draft, Durability, Keys, Receipt, Record, Store};

/// A change in the making.
pub(crate) struct Change<'a> {
    core: &'a Core,
    context: &'a RequestContext,
    draft: &'a mut Draft,
}

/// A security event in a change, and the writer of the records that it tells about.
pub(crate) struct Recorded<'c, 'a> {
    change: &'c mut Change<'a>,
}

/// A change that is committed in Redis.
#[must_use = "a grant is answered when its receipt is durable"]
pub(crate) struct Changed<T> {
    /// The answer of the decision.
    pub(crate) value: T,
    /// Receipt, which tells when PostgreSQL has the change.
    pub(crate) receipt: Receipt,
}

/// A decision's refusal.
pub(crate) enum Refusal {
    /// Nothing is written.
    Plain(Error),
    /// The writes are committed all the same: a counted try and its event.
    Committed(Error),
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Plain(error.into())
    }
}

/// Reads the records of `keys`, decides over them and commits what was written; decides again on fresh records
/// when another commit was faster.
///
/// # Errors
/// Those of `decide`; [`Error::Overloaded`], [`Error::StoreAway`], [`Error::OutcomeUnknown`].
pub(crate) async fn commit<K: Keys, T>(
    core: &Core,
    context: &RequestContext,
    class: Class,
    keys: K,
    mut decide: impl FnMut(K::Records, &mut Change<'_>) -> Result<T, Refusal>,
) -> Result<Changed<T>, Error> {
    let decide = |records: K::Records, draft: &mut Draft| {
        let mut change = Change {
            core,
            context,
            draft,
        };
        match decide(records, &mut change) {
            Ok(value) => Ok(Ok(value)),
            Err(Refusal::Committed(error)) => Ok(Err(error)),
            Err(Refusal::Plain(error)) => Err(error),
        }
    };
    let (value, receipt) = core.store.transact(class, keys, decide).await?;
    let value = value?;
    Ok(Changed { value, receipt })
}

/// Commits a change without an audit entry: the last use of a session, the rotation of a token, secrets sealed anew,
/// a try that is judged by a later commit.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn bookkeeping<K: Keys, T, E: From<store::Error>>(
    store: &Store,
    class: Class,
    keys: K,
    decide: impl FnMut(K::Records, &mut Draft) -> Result<T, E>,
) -> Result<T, E> {
    let (value, _) = store.transact(class, keys, decide).await?;
    Ok(value)
}

/// Writes an event about an account that still exists, and nothing else.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn record_event(
    store: &Store,
    context: &RequestContext,
    user_id: UserId,
    event: &SecurityEvent,
) -> Result<(), store::Error> {
    let entry = context.entry(user_id.into(), event);
    let write = |user: Option<User>, draft: &mut Draft| {
        if user.is_some() {
            draft.audit(&entry);
        }
        Ok::<_, store::Error>(())
    };
    bookkeeping(store, Class::Session, user_id, write).await
}

/// Writes an event about no account.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn record_unowned_event(
    store: &Store,
    context: &RequestContext,
    event: &SecurityEvent,
) -> Result<(), store::Error> {
    let entry = context.entry_without_account(event);
    // A commit reads something of its partition: here a record that lives in Redis alone, and is not there.
    let nothing = ChallengeId::from(entry.id.id());
    let write = |_: Option<Challenge>, draft: &mut Draft| {
        draft.audit(&entry);
        Ok::<_, store::Error>(())
    };
    bookkeeping(store, Class::Session, nothing, write).await
}

impl<'a> Change<'a> {
    /// Time of the request.
    pub(crate) fn now(&self) -> Timestamp {
        self.context.now
    }

    /// Time when Redis was last found to have lost state in this partition. A single use shortly before may stand
    /// unused again.
    pub(crate) fn lost_at(&self) -> Timestamp {
        self.draft.lost_at()
    }

    /// Records an event about `subject`: an audit entry in this commit.
    pub(crate) fn record(
        &mut self,
        subject: impl Into<Subject>,
        event: &SecurityEvent,
    ) -> Recorded<'_, 'a> {
        self.draft.audit(&self.context.entry(subject.into(), event));
        Recorded { change: self }
    }

    /// Records an event about no account, in the partition of the records that it tells about.
    pub(crate) fn record_unowned(
        &mut self,
        partition: Partition,
        event: &SecurityEvent,
    ) -> Recorded<'_, 'a> {
        self.draft.audit(&self.context.entry_in(partition, event));
        Recorded { change: self }
    }

    /// Writes a record that lives in Redis alone.
    pub(crate) fn put_fleeting<R: Record>(&mut self, record: &R) {
        const { assert!(!R::TABLE.durable, "a lasting record needs an event") };
        self.draft.put(record);
    }

    /// Removes a record that lives in Redis alone.
    pub(crate) fn remove<R: Record>(&mut self, record: &R) {
        self.draft.remove(record);
    }

    /// Enqueues a letter with this commit; it is of no use after `expires_at`.
    pub(crate) fn send(
        &mut self,
        user_id: UserId,
        channel: Channel,
        to: String,
        message: Message,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let language = self.context.language();
        let letter = notifications::letter(self.core, user_id, channel, language, message);
        notifications::enqueue(self.core, self.draft, user_id, letter, to, expires_at)
    }
}

impl Recorded<'_, '_> {
    /// Writes a record that the event tells about.
    pub(crate) fn put<R: Record>(self, record: &R) -> Self {
        self.change.draft.put(record);
        self
    }

    /// Tells the account's owner by mail, where mail can be sent at all.
    pub(crate) fn notify(self, user: &User, event: Event) -> Result<(), Error> {
        let Change {
            core,
            context,
            draft,
        } = self.change;
        notifications::notify(core, draft, context, user, event)
    }
}

impl<T> Changed<T> {
    /// Waits for PostgreSQL's word, whatever `DURABILITY` says: for administration.
    ///
    /// # Errors
    /// As [`Receipt::durable_patiently`].
    pub(crate) async fn settled(self) -> Result<T, Error> {
        self.receipt.durable_patiently().await?;
        Ok(self.value)
    }

    /// Waits as `DURABILITY` says. Returns the answer and how far the change has come.
    ///
    /// # Errors
    /// As [`Receipt::durable`].
    pub(crate) async fn durable(self) -> Result<(T, Durability), Error> {
        Ok((self.value, self.receipt.durable().await?))
    }
}
