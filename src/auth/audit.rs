//! How an audit entry is made: from who called and what happened.

use super::{Auth, Client};
use crate::clock::Clock;
use crate::model::{Action, AuditEvent, SessionId, Timestamp, UserId};
use crate::outbound::Language;

/// What entries of one request have in common. Owned, since work that outlives the request writes too.
#[derive(Clone)]
pub(super) struct Trail {
    clock: Clock,
    client: Client,
    /// The time of the whole request.
    pub(super) now: Timestamp,
}

impl Auth {
    /// The trail of a request, whose time is now.
    pub(super) fn trail(&self, client: &Client) -> Trail {
        Trail {
            clock: self.clock.clone(),
            client: client.clone(),
            now: self.clock.now(),
        }
    }
}

impl Trail {
    /// An entry about an account, in its partition.
    pub(super) fn entry(&self, action: Action, user_id: UserId) -> AuditEvent {
        let id = self.clock.new_id_in(user_id.partition());
        let mut event = AuditEvent::new(id, action, Some(user_id), self.now);
        event.ip_address = Some(self.client.address);
        event.user_agent = some(&self.client.user_agent);
        event.request_id = some(&self.client.request_id);
        event
    }

    /// From where the request came.
    pub(super) fn address(&self) -> std::net::IpAddr {
        self.client.address
    }

    /// What the client called itself.
    pub(super) fn user_agent(&self) -> &str {
        &self.client.user_agent
    }

    /// What its owner reads.
    pub(super) fn language(&self) -> Language {
        self.client.language
    }

    /// An entry about an account and one of its sessions.
    pub(super) fn session_entry(
        &self,
        action: Action,
        user_id: UserId,
        session_id: SessionId,
    ) -> AuditEvent {
        self.entry(action, user_id).in_session(session_id)
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Asked;

    #[test]
    fn an_entry_lives_with_its_account_and_says_from_where() {
        let clock = Clock::manual(Timestamp::from_micros(1_795_000_000_000_000));
        let trail = Trail {
            now: clock.now(),
            clock: clock.clone(),
            client: Client {
                address: [192, 0, 2, 7].into(),
                user_agent: String::new(),
                request_id: "r1".to_owned(),
                language: Language::default(),
                asked: Asked::default(),
            },
        };
        let user_id: UserId = clock.new_id();
        let entry = trail.entry(Action::UserLoginFailed, user_id);
        assert_eq!(entry.id.partition(), user_id.partition());
        assert_eq!(entry.user_id, Some(user_id));
        assert_eq!(entry.ip_address, Some([192, 0, 2, 7].into()));
        assert_eq!(entry.user_agent, None, "an empty one says nothing");
        assert_eq!(entry.request_id.as_deref(), Some("r1"));
        assert_eq!(entry.created_at, clock.now());
        assert!(!entry.success);
        assert!(trail.entry(Action::UserLogin, user_id).success);
    }
}
