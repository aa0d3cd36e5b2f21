//! Messages to people: posted with the commit that they tell about, delivered a moment later.
//!
//! A letter is sealed before it enters the outbox, since it may hold a code, and opened by whoever takes it
//! out. A provider that is away is tried again, ever later, until nobody needs the letter any more.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::audit::Trail;
use super::sealing;
use super::{Asked, Auth, Client, Error};
use crate::clock;
use crate::model::{Action, Authenticator, LetterId, MethodKind, Timestamp, User, UserId};
use crate::outbound::undelivered::TIMEOUT;
use crate::outbound::{Channel, Event, Language, Letter, Message, Method, Notice, Undelivered};
use crate::store::{self, Class, Draft, Parcel};
use crate::telemetry::names;

/// A notice is of use for this long.
const NOTICE_LIVES: Duration = Duration::from_hours(24);
/// More are collected while fewer are on their way. So many that those of a provider that keeps silent leave
/// room for those of the other; how many a provider gets at a time is up to its connections.
const ABREAST: usize = 256;
/// An SMS costs money, and one that was not answered in time has probably gone out: it is sent again once.
const REPEATS_IN_DOUBT: u32 = 1;
/// After the first failure, and four times as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// After Redis could not be asked.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A letter and its address, as they wait in the outbox.
#[derive(Serialize, Deserialize)]
struct Envelope {
    user_id: UserId,
    to: String,
    letter: Letter,
}

/// What became of an attempt.
enum Fate {
    Delivered,
    /// Nobody needs it any more.
    Expired,
    /// It never will be.
    Undeliverable(&'static str),
    Later(Duration),
}

impl Auth {
    /// Posts a message with a commit.
    pub(super) fn post(
        &self,
        draft: &mut Draft,
        user_id: UserId,
        letter: Letter,
        to: String,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let id = LetterId::from(letter.id);
        let envelope = Envelope {
            user_id,
            to,
            letter,
        };
        let plain = serde_json::to_vec(&envelope).map(zeroize::Zeroizing::new);
        let plain = plain.map_err(|error| Error::Internal(error.to_string()))?;
        let sealed = self.seal(sealing::letter(id), &plain)?;
        draft.post(id, sealed, expires_at);
        Ok(())
    }

    /// Tells an account's owner by mail what happened, where mail can be sent at all.
    pub(super) fn notify(
        &self,
        draft: &mut Draft,
        trail: &Trail,
        user: &User,
        event: Event,
    ) -> Result<(), Error> {
        if !self.outbound.reaches(Channel::Email) {
            return Ok(());
        }
        let notice = trail.notice(event);
        let letter = self.letter(
            user.id,
            Channel::Email,
            trail.language(),
            Message::Notice(notice),
        );
        let expires_at = trail.now.after(NOTICE_LIVES);
        self.post(draft, user.id, letter, user.email.clone(), expires_at)
    }

    /// A letter with a name of its own, in the account's partition.
    pub(super) fn letter(
        &self,
        user_id: UserId,
        channel: Channel,
        language: Language,
        message: Message,
    ) -> Letter {
        let id: LetterId = self.clock.new_id_in(user_id.partition());
        Letter {
            id: id.id(),
            channel,
            language,
            message,
        }
    }

    /// Delivers what is in the outbox until told to stop. Run by every process that has workers.
    pub async fn carry_letters(self: Arc<Self>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        loop {
            let has_room = under_way.len() < ABREAST;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                // What was collected must not be dropped, so nothing may interrupt the collecting.
                () = self.store.parcels_due(), if has_room => match self.store.collect().await {
                    Ok(parcels) => under_way.extend(parcels.into_iter().map(|one| self.guarded(one))),
                    Err(_) => clock::sleep(STORE_PAUSE).await,
                },
            }
        }
        // What was taken is carried to its end; nobody else would take it for a minute.
        while under_way.next().await.is_some() {}
    }

    /// One attempt at one parcel. A panic is its own affair, and somebody tries again a minute later.
    async fn guarded(&self, parcel: Parcel) {
        let carried = AssertUnwindSafe(self.carry(parcel)).catch_unwind();
        if carried.await.is_err() {
            metrics::counter!(names::PANICS, "place" => "letters").increment(1);
            tracing::error!("a letter made its carrier panic");
        }
    }

    async fn carry(&self, parcel: Parcel) {
        let envelope = self.open_parcel(&parcel);
        let fate = match &envelope {
            Some(_) if self.clock.now() >= parcel.expires_at => Fate::Expired,
            Some(envelope) => self.attempt_delivery(envelope, parcel.attempt).await,
            None if self.clock.now() >= parcel.expires_at => Fate::Undeliverable("unreadable"),
            // An instance with newer keys, or a newer version, can open what this one cannot.
            None => Fate::Later(pause(parcel.attempt)),
        };
        let channel = envelope
            .as_ref()
            .map_or("none", |one| one.letter.channel.label());
        let (outcome, later) = match fate {
            Fate::Delivered => ("delivered", None),
            Fate::Expired => ("expired", None),
            Fate::Undeliverable(reason) => (reason, None),
            Fate::Later(pause) => ("delayed", Some(pause)),
        };
        metrics::counter!(names::LETTERS, "channel" => channel, "outcome" => outcome).increment(1);
        if let (Fate::Expired | Fate::Undeliverable(_), Some(envelope)) = (&fate, &envelope) {
            self.note_undelivered(envelope, outcome).await;
        }
        if let Err(error) = self.store.settle(&parcel, later).await {
            tracing::warn!(%error, "a letter could not be settled and will be taken again");
        }
    }

    async fn attempt_delivery(&self, envelope: &Envelope, attempt: u32) -> Fate {
        match self.outbound.deliver(&envelope.to, &envelope.letter).await {
            Ok(()) => Fate::Delivered,
            Err(Undelivered::Refused(refusal)) => Fate::Undeliverable(refusal.label()),
            Err(Undelivered::Later { reason, .. })
                if in_doubt(envelope, reason) && attempt > REPEATS_IN_DOUBT =>
            {
                Fate::Undeliverable(reason)
            }
            Err(Undelivered::Later {
                retry_after,
                reason,
            }) => {
                let pause = pause(attempt).max(retry_after.unwrap_or_default());
                tracing::warn!(
                    channel = envelope.letter.channel.label(),
                    reason,
                    attempt,
                    seconds = pause.as_secs(),
                    "a letter has to wait"
                );
                Fate::Later(pause.min(LONGEST_PAUSE))
            }
        }
    }

    fn open_parcel(&self, parcel: &Parcel) -> Option<Envelope> {
        let opened = self.unseal(sealing::letter(parcel.id), &parcel.content);
        let envelope = opened.map(|plain| serde_json::from_slice(&plain));
        if let Ok(Ok(envelope)) = envelope {
            return Some(envelope);
        }
        tracing::error!(letter = %parcel.id, "a letter cannot be opened here and is left to others");
        None
    }

    /// Writes down that a letter did not reach its owner.
    async fn note_undelivered(&self, envelope: &Envelope, reason: &'static str) {
        let user_id = envelope.user_id;
        let trail = self.trail(&Client::nobody());
        let details = serde_json::json!({
            "channel": envelope.letter.channel.label(),
            "message": envelope.letter.message.label(),
            "reason": reason,
        });
        let mut entry = trail
            .entry(Action::MessageUndelivered, user_id)
            .with(details);
        entry.ip_address = None;
        let written = self
            .store
            .transact(Class::Session, user_id, |user: Option<User>, draft| {
                if user.is_some() {
                    draft.trace(&entry);
                }
                Ok::<_, store::Error>(())
            });
        if let Err(error) = written.await {
            tracing::warn!(%error, "an undelivered letter was not written down");
        }
    }
}

impl Trail {
    fn notice(&self, event: Event) -> Notice {
        Notice {
            event,
            at: self.now,
            ip_address: Some(self.address().to_string()),
            device: Some(crate::model::device_name(self.user_agent())),
        }
    }
}

impl Client {
    /// Who acts when no request does.
    fn nobody() -> Self {
        Self {
            address: std::net::Ipv4Addr::UNSPECIFIED.into(),
            user_agent: String::new(),
            request_id: String::new(),
            language: Language::default(),
            asked: Asked::default(),
        }
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

/// Whether an SMS may have gone out although nobody said so.
fn in_doubt(envelope: &Envelope, reason: &'static str) -> bool {
    envelope.letter.channel == Channel::Sms && reason == TIMEOUT
}

/// How long to wait after this many attempts.
fn pause(attempts: u32) -> Duration {
    let factor = 4_u32.saturating_pow(attempts.saturating_sub(1).min(10));
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_fourfold_up_to_an_hour() {
        let pauses = [1, 2, 3, 4, 5, 6, 7, 40].map(|attempts| pause(attempts).as_secs());
        assert_eq!(pauses, [2, 8, 32, 128, 512, 2048, 3600, 3600]);
    }
}
