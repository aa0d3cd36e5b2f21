//! What leaves the house.

mod language;
mod letter;
mod local_outbox;
mod texts;
mod undelivered;

pub use language::Language;
pub use letter::{Channel, Event, Letter, Message, Method, Notice};
pub use local_outbox::{Delivered, LocalOutbox};
pub use undelivered::{NOT_CONFIGURED, Refusal, Undelivered};

use crate::config;

/// Everything that leaves the house.
pub struct Outbound;

impl Outbound {
    /// From configuration.
    pub fn new(_settings: &config::Outbound) -> Result<Self, String> {
        Ok(Self)
    }

    /// Whether letters of this channel can be delivered.
    #[must_use]
    pub fn reaches(&self, _channel: Channel) -> bool {
        false
    }

    /// Delivers a letter.
    pub async fn deliver(&self, _to: &str, _letter: &Letter) -> Result<(), Undelivered> {
        Err(Undelivered::Later {
            retry_after: None,
            reason: NOT_CONFIGURED,
        })
    }

    /// The local outbox.
    #[must_use]
    pub fn outbox(&self) -> Option<&LocalOutbox> {
        None
    }
}
