//! What is sealed, and where it stands: a secret that is moved elsewhere does not open.

use zeroize::Zeroizing;

use super::{Auth, Error};
use crate::crypto::Place;
use crate::model::{EnrolmentId, LetterId, MethodId};

/// The secret of a method: TOTP secret, number or address.
pub(super) fn method_secret(id: MethodId) -> Place {
    Place {
        table: "second_factors",
        row: id.id(),
        column: "secret",
    }
}

/// The backup codes that were shown with an enrolment.
pub(super) fn shown_codes(id: EnrolmentId) -> Place {
    Place {
        table: "enrolments",
        row: id.id(),
        column: "backup_codes",
    }
}

/// A letter in the outbox.
pub(super) fn letter(id: LetterId) -> Place {
    Place {
        table: "outbox",
        row: id.id(),
        column: "letter",
    }
}

impl Auth {
    /// Seals a secret with today's key.
    pub(super) fn seal(&self, place: Place, secret: &[u8]) -> Result<String, Error> {
        let sealed = self.sealer.seal(place, secret, self.clock.now());
        sealed.map_err(|error| Error::Internal(format!("{}: {error}", place.table)))
    }

    /// Version of the key that a text is sealed with. What names no key that is known here is to be looked
    /// at again by whoever seals anew.
    pub(super) fn sealed_with(&self, sealed: &str) -> i32 {
        self.sealer.version_of(sealed).map_or(0, version)
    }

    /// Version of the key that seals now.
    pub(super) fn sealing_version(&self) -> i32 {
        version(self.sealer.current(self.clock.now()))
    }

    /// Opens what was sealed, with whichever key.
    pub(super) fn unseal(&self, place: Place, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let opened = self.sealer.open(place, sealed);
        opened.map_err(|error| Error::Internal(format!("{}: {error}", place.table)))
    }
}

/// As the record and its column hold it.
fn version(of_key: u32) -> i32 {
    i32::try_from(of_key).unwrap_or(i32::MAX)
}
