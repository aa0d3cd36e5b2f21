//! Places in buckets, taken before it is known whether the attempt fails.

use std::time::Duration;

use crate::clock::{self, Stopwatch};
use crate::core::limits::in_flight::{AfterRefusal, InFlightGuard};
use crate::core::{Core, Error};
use crate::store::{Bucket, Taken, Verdict};

/// Longest wait for attempts in flight. As long as the hash queue's own deadline, which is what keeps them.
const PATIENCE: Duration = Duration::from_secs(5);

/// One reserved in each of some buckets.
pub(super) struct Reservation {
    pub(super) taken: Taken,
    pub(super) guards: Vec<InFlightGuard>,
}

/// Reason why nothing is reserved.
pub(super) enum NotReserved {
    Refused(Vec<Verdict>),
    Error(Error),
}

/// Reserves in all buckets or in none, and waits where the attempts that fill them are still in flight.
pub(super) async fn reserve(core: &Core, buckets: &[Bucket]) -> Result<Reservation, NotReserved> {
    let watch = Stopwatch::start();
    let mut held = Vec::new();
    loop {
        let guards = core
            .login_attempts
            .begin(buckets, std::mem::take(&mut held));
        let taken = core.store.take(buckets).await.map_err(Error::from)?;
        if taken.allowed() {
            return Ok(Reservation { taken, guards });
        }
        let both = guards.into_iter().zip(&taken.verdicts);
        let (passing, refusing): (Vec<_>, Vec<_>) = both.partition(|(_, said)| said.allowed);
        drop(passing);
        let refusing = refusing.into_iter().map(|(guard, _)| guard).collect();
        let left = PATIENCE.saturating_sub(watch.elapsed());
        let turn = match core.login_attempts.after_refusal(refusing) {
            AfterRefusal::Over => return Err(NotReserved::Refused(taken.verdicts)),
            AfterRefusal::AskAgain(_) if left.is_zero() => return Err(NotReserved::out_of_time()),
            AfterRefusal::AskAgain(guards) => {
                held = guards;
                continue;
            }
            AfterRefusal::Wait(turn) => turn,
        };
        tokio::select! {
            turn = turn => match turn {
                Ok(guard) => held.push(guard),
                Err(_) => return Err(NotReserved::Refused(taken.verdicts)),
            },
            () = clock::sleep(left) => return Err(NotReserved::out_of_time()),
        }
    }
}

impl NotReserved {
    fn out_of_time() -> Self {
        let retry_after = Duration::from_secs(1);
        Self::Error(Error::Overloaded { retry_after })
    }
}

impl From<Error> for NotReserved {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
