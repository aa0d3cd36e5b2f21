//! Admission to the hash pool, the scarcest resource of the service.
//!
//! Every use case that hashes takes its permit before it asks a store, takes from a limit or counts a try. So a
//! request refused for overload costs next to nothing and counts against no limit, and an admitted one is served.
//!
//! Without limits (`RATE_LIMITS=off`) no address has a share of the queue, either: load tests come from one address,
//! and would be refused while there is room.

use std::net::Ipv6Addr;

use super::{Client, Core, Error};
use crate::clock;
use crate::crypto::HashPermit;
use crate::model::Network;

/// Checks whether a password or code of this client would be admitted now, without a permit.
///
/// # Errors
/// [`Error::Overloaded`].
pub(crate) fn check(core: &Core, client: &Client) -> Result<(), Error> {
    Ok(core.hash_pool.check_admission(network(core, client))?)
}

/// Takes a permit for the hashes of this client.
///
/// # Errors
/// [`Error::Overloaded`].
pub(crate) fn admit(core: &Core, client: &Client) -> Result<HashPermit, Error> {
    let permit = core.hash_pool.admit(network(core, client))?;
    Ok(permit.timed_by(&client.hash_time))
}

/// The network whose share of the queue a hash of this client takes: its own, or without limits one of nobody else.
fn network(core: &Core, client: &Client) -> Network {
    if core.settings.limits.enabled {
        return client.network();
    }
    Network::of(Ipv6Addr::from(clock::random::<16>()).into())
}
