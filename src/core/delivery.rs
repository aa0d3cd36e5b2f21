//! Delivery of letters by workers. A provider that is away is tried again, with growing pauses, until the letter
//! expires.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio_util::sync::CancellationToken;

use super::audit::RequestContext;
use super::notifications::Envelope;
use super::{Core, change, sealing};
use crate::clock;
use crate::model::SecurityEvent;
use crate::outbound::undelivered::TIMEOUT;
use crate::outbound::{Channel, Undelivered};
use crate::store::Parcel;
use crate::telemetry::names;

/// Most letters under way. So many that those of a provider that does not answer do not block those of the other;
/// the number that a provider gets at a time is bounded by its connections.
const MAX_UNDER_WAY: usize = 256;
/// Attempts after one in doubt. An SMS costs money, and one that was not answered in time has probably gone out:
/// it is sent again once.
const REPEATS_IN_DOUBT: u32 = 1;
/// Pause after the first failure, and four times as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// Pause after Redis could not be asked.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Outcome of an attempt.
enum Outcome {
    Delivered,
    /// The letter has expired.
    Expired,
    /// No further attempt makes sense.
    Undeliverable(&'static str),
    /// Another attempt after a pause.
    Delayed(Duration),
}

/// Delivers letters until told to stop. Run by every process that has workers.
pub async fn deliver_letters(core: Arc<Core>, stop: CancellationToken) {
    let mut under_way = FuturesUnordered::new();
    loop {
        let has_capacity = under_way.len() < MAX_UNDER_WAY;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
            // Collected letters must not be dropped, so nothing may interrupt the collecting.
            () = core.store.parcels_due(), if has_capacity => match core.store.collect().await {
                Ok(parcels) => under_way.extend(parcels.into_iter().map(|one| attempt_guarded(&core, one))),
                Err(_) => clock::sleep(STORE_PAUSE).await,
            },
        }
    }
    // Each letter under way ends; no other worker would take it for a minute.
    while under_way.next().await.is_some() {}
}

/// One attempt at one letter. A panic ends this attempt alone; another worker tries again a minute later.
async fn attempt_guarded(core: &Core, parcel: Parcel) {
    let attempted = AssertUnwindSafe(attempt(core, parcel)).catch_unwind();
    if attempted.await.is_err() {
        metrics::counter!(names::PANICS, "place" => "letters").increment(1);
        tracing::error!("the delivery of a letter panicked");
    }
}

async fn attempt(core: &Core, parcel: Parcel) {
    let envelope = open(core, &parcel);
    let has_expired = core.clock.now() >= parcel.expires_at;
    let outcome = match &envelope {
        Some(_) if has_expired => Outcome::Expired,
        Some(envelope) => deliver(core, envelope, parcel.attempt).await,
        None if has_expired => Outcome::Undeliverable("unreadable"),
        // An instance with newer keys, or a newer version, can open what this one cannot.
        None => Outcome::Delayed(pause(parcel.attempt)),
    };
    let channel = envelope
        .as_ref()
        .map_or("none", |one| one.letter.channel.label());
    let (label, later) = match outcome {
        Outcome::Delivered => ("delivered", None),
        Outcome::Expired => ("expired", None),
        Outcome::Undeliverable(reason) => (reason, None),
        Outcome::Delayed(pause) => ("delayed", Some(pause)),
    };
    metrics::counter!(names::LETTERS, "channel" => channel, "outcome" => label).increment(1);
    if let (Outcome::Expired | Outcome::Undeliverable(_), Some(envelope)) = (&outcome, &envelope) {
        record_undelivered(core, envelope, label).await;
    }
    if let Err(error) = core.store.settle(&parcel, later).await {
        tracing::warn!(%error, "a letter could not be settled and will be taken again");
    }
}

async fn deliver(core: &Core, envelope: &Envelope, attempt: u32) -> Outcome {
    match core.outbound.deliver(&envelope.to, &envelope.letter).await {
        Ok(()) => Outcome::Delivered,
        Err(Undelivered::Refused(refusal)) => Outcome::Undeliverable(refusal.label()),
        Err(Undelivered::Later { reason, .. })
            if in_doubt(envelope, reason) && attempt > REPEATS_IN_DOUBT =>
        {
            Outcome::Undeliverable(reason)
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
            Outcome::Delayed(pause.min(LONGEST_PAUSE))
        }
    }
}

fn open(core: &Core, parcel: &Parcel) -> Option<Envelope> {
    let opened = sealing::unseal(core, sealing::letter(parcel.id), &parcel.content);
    let envelope = opened.map(|plain| serde_json::from_slice(&plain));
    if let Ok(Ok(envelope)) = envelope {
        return Some(envelope);
    }
    tracing::error!(letter = %parcel.id, "a letter cannot be opened here and is left to others");
    None
}

/// Records that a letter did not reach its owner.
async fn record_undelivered(core: &Core, envelope: &Envelope, reason: &'static str) {
    let event = SecurityEvent::MessageUndelivered {
        channel: envelope.letter.channel.label(),
        message: envelope.letter.message.label(),
        reason,
    };
    let context = RequestContext::internal(core);
    let recorded = change::record_event(&core.store, &context, envelope.user_id, &event);
    if let Err(error) = recorded.await {
        tracing::warn!(%error, "an undelivered letter was not recorded");
    }
}

/// Whether an SMS may have gone out although the provider did not say so.
fn in_doubt(envelope: &Envelope, reason: &'static str) -> bool {
    envelope.letter.channel == Channel::Sms && reason == TIMEOUT
}

/// Pause after this many attempts.
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
