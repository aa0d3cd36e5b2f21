//! Admission to the hash pool, the scarcest resource of the service.
//!
//! Every use case that hashes takes its permit before it asks a store, takes from a limit or counts a try. So a
//! request refused for overload costs next to nothing and counts against no limit, and an admitted one is served.

use super::{Client, Core, Error};
use crate::crypto::HashPermit;

/// Checks whether a password or code of this client would be admitted now, without a permit.
///
/// # Errors
/// [`Error::Overloaded`].
pub(crate) fn check(core: &Core, client: &Client) -> Result<(), Error> {
    Ok(core.hash_pool.check_admission(client.network())?)
}

/// Takes a permit for the hashes of this client.
///
/// # Errors
/// [`Error::Overloaded`].
pub(crate) fn admit(core: &Core, client: &Client) -> Result<HashPermit, Error> {
    Ok(core.hash_pool.admit(client.network())?)
}
