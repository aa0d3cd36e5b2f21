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

    /// Version of the key that a text is sealed with.
    pub(super) fn sealed_with(&self, _sealed: &str) -> i32 {
        self.sealing_version()
    }

    /// Version of the key that seals now.
    pub(super) fn sealing_version(&self) -> i32 {
        1
    }

    /// Opens what was sealed, with whichever key.
    pub(super) fn unseal(&self, place: Place, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let opened = self.sealer.open(place, sealed);
        opened.map_err(|error| Error::Internal(format!("{}: {error}", place.table)))
    }
}
