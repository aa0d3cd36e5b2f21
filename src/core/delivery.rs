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
use super::{Core, Error, change, limits, sealing};
use crate::clock;
use crate::model::SecurityEvent;
use crate::outbound::undelivered::TIMEOUT;
use crate::outbound::{Channel, Message, Undelivered};
use crate::store::{LETTER, LeasedJob};
use crate::telemetry::names;

/// Most letters under way. So many that those of a provider that does not answer do not block those of the other;
/// the number that a provider gets at a time is bounded by its connections.
const MAX_UNDER_WAY: usize = 256;
/// Attempts after one in doubt. An SMS costs money, and one that was not answered in time has probably gone out:
/// it is sent again once.
const REPEATS_IN_DOUBT: u32 = 1;
/// Pause after Redis could not be asked.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Outcome of an attempt.
enum Outcome {
    Delivered,
    /// The letter has expired.
    Expired,
    /// A notice to an address that is not verified, which had one of the same kind of late.
    OneTooMany,
    /// No further attempt makes sense.
    Undeliverable(&'static str),
    /// Another attempt after a pause.
    Delayed(Duration, &'static str),
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
            () = core.store.jobs_due(&LETTER), if has_capacity => match core.store.take_jobs(&LETTER).await {
                Ok(jobs) => under_way.extend(jobs.into_iter().map(|one| attempt_guarded(&core, one))),
                Err(_) => clock::sleep(STORE_PAUSE).await,
            },
        }
    }
    // Each letter under way ends; no other worker would take it for a minute.
    while under_way.next().await.is_some() {}
}

/// One attempt at one letter. A panic ends this attempt alone; another worker tries again a minute later.
async fn attempt_guarded(core: &Core, job: LeasedJob) {
    let attempted = AssertUnwindSafe(attempt(core, job)).catch_unwind();
    if attempted.await.is_err() {
        metrics::counter!(names::PANICS, "place" => "letters").increment(1);
        tracing::error!("the delivery of a letter panicked");
    }
}

async fn attempt(core: &Core, job: LeasedJob) {
    let envelope = open(core, &job);
    let has_expired = core.clock.now() >= job.expires_at;
    let outcome = match &envelope {
        Some(_) if has_expired => Outcome::Expired,
        Some(envelope) => deliver_within_limit(core, envelope, job.attempt).await,
        None if has_expired => Outcome::Undeliverable("unreadable"),
        // An instance with newer keys, or a newer version, can open what this one cannot.
        None => Outcome::Delayed(pause(job.attempt), "unreadable"),
    };
    let channel = envelope
        .as_ref()
        .map_or("none", |one| one.letter.channel.label());
    let label = match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Expired => "expired",
        Outcome::OneTooMany => "too_many",
        Outcome::Undeliverable(reason) => reason,
        Outcome::Delayed(..) => "delayed",
    };
    metrics::counter!(names::LETTERS, "channel" => channel, "outcome" => label).increment(1);
    if let (Outcome::Expired | Outcome::OneTooMany | Outcome::Undeliverable(_), Some(envelope)) =
        (&outcome, &envelope)
    {
        record_undelivered(core, envelope, label).await;
    }
    let settled = match outcome {
        Outcome::Delayed(pause, reason) => core.store.postpone_job(&job, pause, reason).await,
        _ => core.store.finish_job(&job).await,
    };
    if let Err(error) = settled {
        tracing::warn!(%error, "a letter could not be settled and will be taken again");
    }
}

/// Delivers a letter, unless it is a notice too many: anybody can register with an address that is somebody else's, and
/// cause notices. An attempt that did not deliver it does not count.
async fn deliver_within_limit(core: &Core, envelope: &Envelope, attempt: u32) -> Outcome {
    let reservation = match reserve_notice(core, envelope).await {
        Ok(Some(reservation)) => reservation,
        Ok(None) => return Outcome::OneTooMany,
        Err(_) => return Outcome::Delayed(pause(attempt), "redis"),
    };
    let outcome = deliver(core, envelope, attempt).await;
    if !matches!(outcome, Outcome::Delivered) {
        limits::release(core, reservation).await;
    }
    outcome
}

/// Reserves one for a notice by mail, where its address is not verified; `None` when there were enough.
async fn reserve_notice(
    core: &Core,
    envelope: &Envelope,
) -> Result<Option<limits::Reservation>, Error> {
    let (Channel::Email, Message::Notice(notice)) =
        (envelope.letter.channel, &envelope.letter.message)
    else {
        return Ok(Some(limits::Reservation::none()));
    };
    let user = core.store.read(envelope.user_id).await?;
    if user.is_some_and(|user| user.email_verified_at.is_some() && user.email == envelope.to) {
        return Ok(Some(limits::Reservation::none()));
    }
    limits::take_unverified_notice(core, &envelope.to.to_lowercase(), &notice.event.kind()).await
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
            Outcome::Delayed(pause.min(LETTER.retry.longest), reason)
        }
    }
}

fn open(core: &Core, job: &LeasedJob) -> Option<Envelope> {
    let opened = sealing::unseal(core, sealing::letter(job.id), &job.content);
    let envelope = opened.map(|plain| serde_json::from_slice(&plain));
    if let Ok(Ok(envelope)) = envelope {
        return Some(envelope);
    }
    tracing::error!(letter = %job.id, "a letter cannot be opened here and is left to others");
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

/// Pause after this many attempts, by the policy of letters.
fn pause(attempts: u32) -> Duration {
    let [jitter] = clock::random::<1>();
    LETTER.retry.pause(attempts, jitter)
}
