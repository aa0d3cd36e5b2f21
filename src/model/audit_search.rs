//! Audit entries as they are searched and read.

use ipnet::IpNet;
use serde::Serialize;

use super::{Action, AuditId, Id, SessionId, Timestamp, UserId};

/// Conditions that an entry fulfils; those left out are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AuditFilter {
    /// Kinds of events, one of them.
    pub actions: Option<Vec<Action>>,
    /// Account that it is about.
    pub user_id: Option<UserId>,
    /// Account that did it.
    pub actor_id: Option<UserId>,
    /// Network of the client's address.
    #[serde(serialize_with = "as_text")]
    pub network: Option<IpNet>,
    /// Whether it went through.
    pub success: Option<bool>,
    /// Earliest time.
    pub from: Option<Timestamp>,
    /// Time before which it was.
    pub to: Option<Timestamp>,
    /// Words, all of them, in action, user agent and details.
    pub words: Option<String>,
}

/// Entries that a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum AuditScope {
    /// All of them.
    All,
    /// Those about the account or of its acts.
    Own(UserId),
}

/// An entry as PostgreSQL has it, of this version or another.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Names it.
    pub id: AuditId,
    /// Name of the event.
    pub action: String,
    /// Whether it went through.
    pub success: bool,
    /// Account that it is about.
    pub user_id: Option<UserId>,
    /// Session of that account which it is about.
    pub session_id: Option<SessionId>,
    /// Kind of who did it.
    pub actor_kind: Option<String>,
    /// Account that did it.
    pub actor_id: Option<UserId>,
    /// Session by which it was done.
    pub actor_session_id: Option<SessionId>,
    /// API key by which it was done.
    pub actor_key_id: Option<Id>,
    /// Address of the client.
    pub ip_address: Option<String>,
    /// `User-Agent` of the client.
    pub user_agent: Option<String>,
    /// Request that it happened in.
    pub request_id: Option<String>,
    /// Fields of the event.
    pub details: serde_json::Value,
    /// Time of the event.
    pub created_at: Timestamp,
}

impl AuditEntry {
    /// The entry as its subject may see it: where somebody else acted, without what tells of that person's client.
    #[must_use]
    pub fn seen_by(mut self, account: UserId) -> Self {
        if self.actor_id.is_some_and(|actor| actor != account) {
            self.ip_address = None;
            self.user_agent = None;
            self.request_id = None;
            self.actor_session_id = None;
            self.actor_key_id = None;
        }
        self
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde wants")]
fn as_text<S: serde::Serializer>(network: &Option<IpNet>, to: S) -> Result<S::Ok, S::Error> {
    network.map(|network| network.to_string()).serialize(to)
}
