//! Work of an operator on single accounts, by the use cases that requests go through.

use super::Error;
use super::services::Services;
use crate::auth::second_factor;
use crate::config::Config;
use crate::core::{self, Core, ProblemKind, accounts};
use crate::platform::role::{self, Assignment};

/// `sallyport users reset-2fa`: removes all second factors of the account with an id, e-mail address or username, and
/// ends its sessions. Returns how many methods there were.
///
/// # Errors
/// When there is no such account, or something that it needs is missing; the text says what.
pub async fn reset_second_factors(config: Config, account: &str) -> Result<usize, Error> {
    let reset = async |core: &Core| Box::pin(second_factor::reset(core, account)).await;
    let (removed, _) = Box::pin(with_core(
        config,
        account,
        "the second factors were not removed",
        reset,
    ))
    .await?;
    Ok(removed)
}

/// `sallyport users promote` and `demote`: gives an account a role, or takes it away. Returns the roles that it has now.
///
/// # Errors
/// When there is no such account or role, when it is the last administrator, or when something is missing.
pub async fn change_role(
    config: Config,
    account: &str,
    name: &str,
    has_it: bool,
) -> Result<Vec<String>, Error> {
    let change = async |core: &Core| {
        let user_id = accounts::find(core, account).await?;
        let user_id = user_id.ok_or(ProblemKind::NotFound)?;
        let mut roles = role::of(core, user_id).await?;
        roles.retain(|role| role != name);
        if has_it {
            roles.push(name.to_owned());
        }
        let assigned = role::assign_as_operator(core, Assignment { user_id, roles });
        let user = Box::pin(assigned).await?;
        Ok(user.roles)
    };
    Box::pin(with_core(
        config,
        account,
        "the roles did not change",
        change,
    ))
    .await
}

/// Opens what use cases need, and nothing more: it hashes nothing, and leaves the work of others to them.
async fn with_core<T>(
    mut config: Config,
    account: &str,
    failed: &str,
    work: impl AsyncFnOnce(&Core) -> Result<T, core::Error>,
) -> Result<T, Error> {
    config.hashing.threads = 1;
    config.store.workers = false;
    let services = Box::pin(Services::open(&config)).await?;
    let outcome = work(&services.core).await;
    services.close().await;
    let refused = |error| match error {
        core::Error::Refused(ProblemKind::NotFound) => {
            format!("there is no account with the id, e-mail address or username {account}")
        }
        core::Error::Refused(ProblemKind::LastAdministrator) => {
            format!("{account} is the last administrator; promote another account first")
        }
        core::Error::Invalid(fields) => {
            let told = fields.iter().map(|field| field.message.as_str());
            format!("{failed}: {}", told.collect::<Vec<_>>().join("; "))
        }
        other => format!("{failed}: {other}"),
    };
    outcome.map_err(|error| Error::NotReady(refused(error)))
}
