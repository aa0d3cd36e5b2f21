//! Letters to users, enqueued with the commit that they tell about. `delivery` sends them a moment later.
//!
//! A letter is sealed before it is enqueued, since it may hold a code.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::audit::RequestContext;
use super::{Core, Error, sealing};
use crate::model::{Authenticator, JobId, MethodKind, Timestamp, User, UserId, device_name};
use crate::outbound::{Channel, Event, Language, Letter, Message, Method, Notice};
use crate::store::{Draft, LETTER, NewJob};

/// Lifetime of a notice: it is of no use after that.
const NOTICE_TTL: Duration = Duration::from_hours(24);

/// A letter and its address, as they wait for delivery.
#[derive(Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) user_id: UserId,
    /// Number in E.164 form, or mail address.
    pub(super) to: String,
    pub(super) letter: Letter,
}

/// Enqueues a letter with a commit.
///
/// # Errors
/// [`Error::Internal`] when it cannot be sealed.
pub(super) fn enqueue(
    core: &Core,
    draft: &mut Draft,
    user_id: UserId,
    letter: Letter,
    to: String,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let id = JobId::from(letter.id);
    let envelope = Envelope {
        user_id,
        to,
        letter,
    };
    let plain = serde_json::to_vec(&envelope).map(zeroize::Zeroizing::new);
    let plain = plain.map_err(|error| Error::Internal(error.to_string()))?;
    let sealed = sealing::seal(core, sealing::letter(id), &plain)?;
    draft.enqueue(NewJob {
        kind: &LETTER,
        id,
        content: sealed,
        due_in: Duration::ZERO,
        expires_at,
    });
    Ok(())
}

/// Tells an account's owner by mail of an event, where mail can be sent at all.
///
/// # Errors
/// As [`enqueue`].
pub(super) fn notify(
    core: &Core,
    draft: &mut Draft,
    context: &RequestContext,
    user: &User,
    event: Event,
) -> Result<(), Error> {
    if !core.outbound.reaches(Channel::Email) {
        return Ok(());
    }
    let message = Message::Notice(notice(context, event));
    let letter = letter(core, user.id, Channel::Email, context.language(), message);
    let expires_at = context.now.after(NOTICE_TTL);
    enqueue(core, draft, user.id, letter, user.email.clone(), expires_at)
}

/// A letter with an id of its own, in the account's partition.
pub(super) fn letter(
    core: &Core,
    user_id: UserId,
    channel: Channel,
    language: Language,
    message: Message,
) -> Letter {
    let id: JobId = core.clock.new_id_in(user_id.partition());
    Letter {
        id: id.id(),
        channel,
        language,
        message,
    }
}

fn notice(context: &RequestContext, event: Event) -> Notice {
    Notice {
        event,
        at: context.now,
        ip_address: context.address().map(|address| address.to_string()),
        device: Some(device_name(context.user_agent())),
    }
}

impl From<Authenticator> for Method {
    fn from(authenticator: Authenticator) -> Self {
        match authenticator {
            Authenticator::Method(MethodKind::Totp) => Self::Totp,
            Authenticator::Method(MethodKind::Sms) => Self::Sms,
            Authenticator::Method(MethodKind::Email) => Self::Email,
            Authenticator::BackupCode => Self::BackupCodes,
        }
    }
}
