//! Work of an operator on single accounts, by the use cases that requests go through.

use super::Error;
use super::services::Services;
use crate::auth::second_factor;
use crate::config::Config;
use crate::core::{self, ProblemKind};

/// `sallyport users reset-2fa`: removes all second factors of the account with an id, e-mail address or username, and
/// ends its sessions. Returns how many methods there were.
///
/// # Errors
/// When there is no such account, or something that it needs is missing; the text says what.
pub async fn reset_second_factors(mut config: Config, account: &str) -> Result<usize, Error> {
    // It hashes nothing, and leaves the work of others to them.
    config.hashing.threads = 1;
    config.store.workers = false;
    let services = Box::pin(Services::open(&config)).await?;
    let reset = second_factor::reset(&services.core, account).await;
    services.close().await;
    let refused = |error| match error {
        core::Error::Refused(ProblemKind::NotFound) => {
            format!("there is no account with the id, e-mail address or username {account}")
        }
        other => format!("the second factors of {account} were not removed: {other}"),
    };
    reset
        .map(|(removed, _)| removed)
        .map_err(|error| Error::NotReady(refused(error)))
}
