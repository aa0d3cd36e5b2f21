//! Secrets at rest, sealed for their location in the stores: a secret that is moved elsewhere does not open.

use zeroize::Zeroizing;

use super::{Core, Error};
use crate::crypto::SealContext;
use crate::model::{EnrolmentId, JobId, MethodId};

/// The secret of a method: TOTP secret, number or address.
pub(crate) fn method_secret(id: MethodId) -> SealContext {
    SealContext {
        table: "second_factors",
        row: id.id(),
        column: "secret",
    }
}

/// The backup codes that were shown with an enrolment.
pub(crate) fn shown_codes(id: EnrolmentId) -> SealContext {
    SealContext {
        table: "enrolments",
        row: id.id(),
        column: "backup_codes",
    }
}

/// A letter that waits for delivery.
pub(crate) fn letter(id: JobId) -> SealContext {
    SealContext {
        table: "outbox",
        row: id.id(),
        column: "letter",
    }
}

/// Seals a secret with today's key.
pub(crate) fn seal(core: &Core, context: SealContext, secret: &[u8]) -> Result<String, Error> {
    let sealed = core.sealer.seal(context, secret, core.clock.now());
    sealed.map_err(|error| Error::Internal(format!("{}: {error}", context.table)))
}

/// Opens a sealed secret, with whichever key it was sealed.
pub(crate) fn unseal(
    core: &Core,
    context: SealContext,
    sealed: &str,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let opened = core.sealer.open(context, sealed);
    opened.map_err(|error| Error::Internal(format!("{}: {error}", context.table)))
}

/// Version of the key that sealed a text. 0 when it names no known key: re-sealing looks at it again.
pub(crate) fn sealed_with(core: &Core, sealed: &str) -> i32 {
    core.sealer.version_of(sealed).map_or(0, version)
}

/// Version of the key that seals now.
pub(crate) fn current_version(core: &Core) -> i32 {
    version(core.sealer.current(core.clock.now()))
}

/// A key version as the record and its column hold it.
fn version(of_key: u32) -> i32 {
    i32::try_from(of_key).unwrap_or(i32::MAX)
}
