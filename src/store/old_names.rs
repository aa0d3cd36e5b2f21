//! Old names of renamed items, for callers that do not use the new ones yet.

use super::{Draft, Health, Store};
use crate::model::AuditEvent;

pub use super::Health as Pulse;

impl Draft {
    /// [`Draft::audit`].
    pub fn trace(&mut self, event: &AuditEvent) {
        self.audit(event);
    }
}

impl Store {
    /// [`Store::redis_health`].
    pub async fn redis_pulse(&self) -> Health {
        self.redis_health().await
    }

    /// [`Store::postgres_health`].
    pub async fn postgres_pulse(&self) -> Health {
        self.postgres_health().await
    }
}
