//! The end of all second factors of an account whose owner has lost them, by an operator who has made sure of who
//! they are.

use super::shown_code::write_codes;
use crate::core::accounts;
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::{Core, Durability, Error, ProblemKind};
use crate::model::{CodesId, Factors, FactorsId, SecurityEvent, SentCodes, User, UserId};
use crate::outbound::Event;
use crate::store::Class;

/// Records that a reset is decided by.
type Records = (Option<User>, (Option<Factors>, Option<SentCodes>));

/// Removes all second factors of the account with an id, e-mail address or username. Sessions, trusted devices and
/// codes that were sent end: what was lost may be a phone that is logged in. The owner is told by mail. Returns the
/// number of methods that were removed; where there were none, nothing changes.
///
/// # Errors
/// [`ProblemKind::NotFound`]; [`Error::StoreAway`], [`Error::OutcomeUnknown`].
pub async fn reset(core: &Core, account: &str) -> Result<(usize, Durability), Error> {
    let user_id = accounts::find(core, account)
        .await?
        .ok_or(ProblemKind::NotFound)?;
    let context = RequestContext::command_line(core);
    let decide = |(user, (factors, codes)): Records, change: &mut Change<'_>| {
        let mut user = user
            .filter(|user| user.deleted_at.is_none())
            .ok_or(ProblemKind::NotFound)?;
        let Some(mut factors) = factors.filter(|factors| !factors.methods.is_empty()) else {
            return Ok(0);
        };
        let count = factors.clear(change.now());
        user.change_factors(false, change.now());
        user.end_sessions(change.now());
        if let Some(mut codes) = codes {
            codes.sent.clear();
            write_codes(&codes, change);
        }
        change
            .record(&user, &SecurityEvent::FactorsReset { count })
            .put(&factors)
            .put(&user)
            .notify(&user, Event::SecondFactorsOff)?;
        Ok(count)
    };
    let keys: (UserId, (FactorsId, CodesId)) = (user_id, (user_id.factors(), user_id.codes()));
    let changed = change::commit(core, &context, Class::Restrict, keys, decide).await?;
    changed.durable().await
}
