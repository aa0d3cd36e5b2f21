//! Accounts as operators name them.

use super::{Core, Error};
use crate::model::{Identifier, UserId};

/// The account with an id, e-mail address or username. The index is only a hint, so the account itself must answer to the
/// name.
///
/// # Errors
/// [`Error::StoreAway`].
pub async fn find(core: &Core, account: &str) -> Result<Option<UserId>, Error> {
    if let Ok(id) = account.parse() {
        return Ok(Some(id));
    }
    let Some(name) = Identifier::parse_login(account) else {
        return Ok(None);
    };
    let Some(id) = core.store.find_user(&name).await? else {
        return Ok(None);
    };
    let user = core.store.read(id).await?;
    Ok(user
        .filter(|user| user.is_called(&name))
        .map(|user| user.id))
}
