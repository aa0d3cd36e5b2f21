//! The outbox of `sallyport dev`: what would have been sent, kept for whoever develops a login page.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::texts::Text;
use super::{Channel, Letter};
use crate::model::{Id, Timestamp};

/// The newest letters, in memory alone.
#[derive(Default)]
pub struct LocalOutbox(Mutex<VecDeque<Delivered>>);

/// A letter as it would have reached somebody. It may hold a code, so it does not print.
#[derive(Clone, Serialize)]
pub struct Delivered {
    /// Id of the letter.
    pub id: Id,
    /// Which way it would have gone.
    pub channel: Channel,
    /// To whom.
    pub to: String,
    /// Subject of a mail.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
    /// When the letter was written.
    pub at: Timestamp,
}

impl LocalOutbox {
    /// How many letters are kept.
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
