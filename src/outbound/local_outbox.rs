//! The outbox of `sallyport dev`: letters that were not sent, kept for developers of login pages.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::texts::Text;
use super::{Channel, Letter};
use crate::model::{Id, Timestamp};

/// The newest letters, in memory alone.
#[derive(Default)]
pub struct LocalOutbox(Mutex<VecDeque<Delivered>>);

/// A letter as the recipient would have got it. It may hold a code, so it does not print.
#[derive(Clone, Serialize)]
pub struct Delivered {
    /// Id of the letter.
    pub id: Id,
    /// Channel of the letter.
    pub channel: Channel,
    /// Recipient: a number or an address.
    pub to: String,
    /// Subject of a mail.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
    /// Time of writing.
    pub at: Timestamp,
}

impl LocalOutbox {
    /// Most letters that are kept.
    pub const CAPACITY: usize = 200;

    /// The letters, newest first.
    #[must_use]
    pub fn letters(&self) -> Vec<Delivered> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }

    pub(super) fn take(&self, to: &str, letter: &Letter, text: &Text) {
        let delivered = Delivered {
            id: letter.id,
            channel: letter.channel,
            to: to.to_owned(),
            subject: text.subject.clone(),
            text: text.body.to_string(),
            at: letter.written_at(),
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(Self::CAPACITY - 1);
        kept.push_front(delivered);
    }
}
