//! Room in the hash queue, which is what there is least of.
//!
//! Every use case that hashes takes its place before it asks a store, takes from a limit or counts a try. So an
//! overload costs next to nothing and counts for nobody, and whoever gets past it is served.

use super::{Auth, Client, Error};
use crate::crypto::HashPlace;
use crate::model::Network;

impl Auth {
    /// Whether a password or code of this client could be hashed, were it here by now.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    pub fn has_room(&self, client: &Client) -> Result<(), Error> {
        Ok(self.pool.has_room(client.network())?)
    }

    /// A place for what this client wants hashed.
    pub(super) fn hash_place(&self, client: &Client) -> Result<HashPlace, Error> {
        Ok(self.pool.place(client.network())?)
    }
}

impl Client {
    /// Whom its address stands for.
    fn network(&self) -> Network {
        Network::of(self.address)
    }
}
