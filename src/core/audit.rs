//! Audit entries of one request: the parts that they share.

use std::net::IpAddr;

use super::{Client, Core, Principal};
use crate::clock::Clock;
use crate::model::{
    Actor, AuditEvent, AuditId, Partition, SecurityEvent, Session, SessionId, Timestamp, User,
    UserId,
};
use crate::outbound::Language;

/// Time and origin of a request. Owned, since work that outlives the request writes entries too.
#[derive(Clone)]
pub(crate) struct RequestContext {
    clock: Clock,
    client: Client,
    /// Time of the whole request.
    pub(crate) now: Timestamp,
}

/// The account that an audit entry is about, and its session where one acted or suffered it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    user_id: UserId,
    session_id: Option<SessionId>,
}

impl From<UserId> for Subject {
    fn from(user_id: UserId) -> Self {
        Self {
            user_id,
            session_id: None,
        }
    }
}

impl From<&User> for Subject {
    fn from(user: &User) -> Self {
        user.id.into()
    }
}

impl From<&Session> for Subject {
    fn from(session: &Session) -> Self {
        Self {
            user_id: session.user_id,
            session_id: Some(session.id),
        }
    }
}

impl From<&Principal> for Subject {
    fn from(principal: &Principal) -> Self {
        match principal {
            Principal::Session(caller) => caller.session.as_ref().into(),
            Principal::ApiKey(key) => key.user.id.into(),
        }
    }
}

impl RequestContext {
    /// The context of a request that came in now.
    pub(crate) fn new(core: &Core, client: &Client) -> Self {
        Self {
            clock: core.clock.clone(),
            client: client.clone(),
            now: core.clock.now(),
        }
    }

    /// The context of work that no request asked for.
    pub(crate) fn internal(core: &Core) -> Self {
        Self::new(core, &Client::internal(Actor::Service))
    }

    /// The context of a command that an operator gave to the program.
    pub(crate) fn command_line(core: &Core) -> Self {
        Self::new(core, &Client::internal(Actor::CommandLine))
    }

    /// An entry about an account, in its partition.
    pub(crate) fn entry(&self, subject: Subject, event: &SecurityEvent) -> AuditEvent {
        let id = self.clock.new_id_in(subject.user_id.partition());
        let mut entry = self.entry_of(id, Some(subject.user_id), event);
        entry.session_id = subject.session_id;
        let actor = self.actor(subject, entry.success);
        entry.done_by(actor)
    }

    /// An entry about no account, in any partition.
    pub(crate) fn entry_without_account(&self, event: &SecurityEvent) -> AuditEvent {
        let entry = self.entry_of(self.clock.new_id(), None, event);
        entry.done_by(self.client.actor)
    }

    /// The actor. Routes that are open to everybody change an account for nobody but who shows a secret of it, so what
    /// goes through there (a login, a registration, a logout by refresh token) was done by the account itself.
    fn actor(&self, subject: Subject, success: bool) -> Actor {
        match self.client.actor {
            Actor::Anonymous if success => Actor::Account(subject.user_id, subject.session_id),
            actor => actor,
        }
    }

    /// An entry about no account, in a partition.
    pub(crate) fn entry_in(&self, partition: Partition, event: &SecurityEvent) -> AuditEvent {
        let entry = self.entry_of(self.clock.new_id_in(partition), None, event);
        entry.done_by(self.client.actor)
    }

    fn entry_of(&self, id: AuditId, user_id: Option<UserId>, event: &SecurityEvent) -> AuditEvent {
        let mut entry = AuditEvent::new(id, event, user_id, self.now);
        entry.ip_address = self.address();
        entry.user_agent = some(&self.client.user_agent);
        entry.request_id = some(&self.client.request_id);
        entry
    }

    /// Address of the client. `None` when no request acts.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let address = self.client.address;
        (!address.is_unspecified()).then_some(address)
    }

    /// User agent of the client, possibly empty.
    pub(crate) fn user_agent(&self) -> &str {
        &self.client.user_agent
    }

    /// Language of the client's reader.
    pub(crate) fn language(&self) -> Language {
        self.client.language
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{HashTime, RateLimitVerdicts};
    use crate::model::ActorKind;

    fn context(address: [u8; 4]) -> RequestContext {
        let clock = Clock::manual(Timestamp::from_micros(1_795_000_000_000_000));
        RequestContext {
            now: clock.now(),
            clock,
            client: Client {
                address: address.into(),
                user_agent: String::new(),
                request_id: "r1".to_owned(),
                language: Language::default(),
                verdicts: RateLimitVerdicts::default(),
                hash_time: HashTime::default(),
                actor: Actor::Anonymous,
            },
        }
    }

    #[test]
    fn an_entry_lives_with_its_account_and_says_from_where() {
        let context = context([192, 0, 2, 7]);
        let user_id: UserId = context.clock.new_id();
        let failed = SecurityEvent::UserLoginFailed {
            reason: "wrong_password",
            during: "login",
            name: None,
        };
        let entry = context.entry(user_id.into(), &failed);
        assert_eq!(entry.id.partition(), user_id.partition());
        assert_eq!(entry.user_id, Some(user_id));
        assert_eq!(entry.session_id, None);
        assert_eq!(entry.ip_address, Some([192, 0, 2, 7].into()));
        assert_eq!(entry.user_agent, None, "an empty one says nothing");
        assert_eq!(entry.request_id.as_deref(), Some("r1"));
        assert_eq!(entry.created_at, context.now);
        assert!(!entry.success);
    }

    #[test]
    fn an_anonymous_client_acts_as_the_account_only_where_it_went_through() {
        let mut context = context([192, 0, 2, 7]);
        let (account, operator): (UserId, UserId) =
            (context.clock.new_id(), context.clock.new_id());
        let failed = SecurityEvent::UserLoginFailed {
            reason: "wrong_password",
            during: "login",
            name: None,
        };
        let actors = |context: &RequestContext| {
            [&failed, &SecurityEvent::UserPasswordRehashed {}].map(|event| {
                let entry = context.entry(account.into(), event);
                (entry.actor_kind, entry.actor_id)
            })
        };
        let anonymous = (Some(ActorKind::Anonymous), None);
        let itself = (Some(ActorKind::Account), Some(account));
        assert_eq!(actors(&context), [anonymous, itself]);
        context.client.actor = Actor::Account(operator, None);
        let other = (Some(ActorKind::Account), Some(operator));
        assert_eq!(actors(&context), [other, other]);
        context.client.actor = Actor::CommandLine;
        let nobody = (Some(ActorKind::CommandLine), None);
        assert_eq!(actors(&context), [nobody, nobody]);
    }

    #[test]
    fn work_without_a_request_names_no_address() {
        let context = context([0, 0, 0, 0]);
        let user_id: UserId = context.clock.new_id();
        let entry = context.entry(user_id.into(), &SecurityEvent::UserPasswordRehashed {});
        assert_eq!(entry.ip_address, None);
    }
}
