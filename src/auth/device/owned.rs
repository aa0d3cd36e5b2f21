//! Trusted devices, as their owner sees and changes them: list, rename, remove.

use super::trust::clean_name;
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::principal::{self, PrincipalKeys, PrincipalRecords};
use crate::core::{Client, Core, Durability, Error, FieldError, Principal, ProblemKind};
use crate::model::{DeviceId, SecurityEvent, Timestamp, TrustedDevice, User};
use crate::store::Class;

/// Keys and records that a change of one device is decided by.
type Keys = (PrincipalKeys, DeviceId);
type Records = (PrincipalRecords, Option<TrustedDevice>);

/// The devices that an account trusts, newest first.
///
/// # Errors
/// [`Error::StoreAway`].
pub async fn list(core: &Core, user: &User) -> Result<Vec<TrustedDevice>, Error> {
    let now = core.clock.now();
    let mut devices = core.store.owned_by::<TrustedDevice>(user.id).await?;
    devices.retain(|device| device.is_trusted_by(user, now));
    Ok(devices)
}

/// Gives a trusted device another name.
///
/// # Errors
/// [`ProblemKind::NotFound`] for an unknown id and for another account's; [`Error::Invalid`] when nothing is
/// left of the name.
pub async fn rename(
    core: &Core,
    client: &Client,
    principal: &Principal,
    id: DeviceId,
    name: &str,
) -> Result<(TrustedDevice, Durability), Error> {
    let name = clean_name(name).ok_or_else(nameless)?;
    let keys = keys(principal, id)?;
    let context = RequestContext::new(core, client);
    let decide = |records: Records, change: &mut Change<'_>| {
        let mut device = trusted(records, change.now())?;
        if device.name != name {
            device.name.clone_from(&name);
            let event = SecurityEvent::DeviceRenamed {
                device: device.id,
                name: name.clone(),
            };
            change.record(principal, &event).put(&device);
        }
        Ok(device)
    };
    let changed = change::commit(core, &context, Class::Grant, keys, decide).await?;
    changed.durable().await
}

/// Ends the trust in one device: its next login asks for the second factor.
///
/// # Errors
/// [`ProblemKind::NotFound`] for an unknown id and for another account's.
pub async fn remove(
    core: &Core,
    client: &Client,
    principal: &Principal,
    id: DeviceId,
) -> Result<Durability, Error> {
    let keys = keys(principal, id)?;
    let context = RequestContext::new(core, client);
    let decide = |records: Records, change: &mut Change<'_>| {
        let mut device = trusted(records, change.now())?;
        device.end(change.now());
        let event = SecurityEvent::DeviceRemoved {
            device: Some(device.id),
            name: Some(device.name.clone()),
            count: None,
        };
        change.record(principal, &event).put(&device);
        Ok(())
    };
    let changed = change::commit(core, &context, Class::Restrict, keys, decide).await?;
    Ok(changed.durable().await?.1)
}

/// Ends the trust in all devices: by one write of the account, whatever their number. Returns how many
/// there were, as far as they could be counted: with PostgreSQL away they end uncounted.
///
/// # Errors
/// [`ProblemKind::Unauthenticated`] when the caller's own session or key ended meanwhile.
pub async fn remove_all(
    core: &Core,
    client: &Client,
    principal: &Principal,
) -> Result<(usize, Durability), Error> {
    let devices = list(core, principal.user()).await;
    let count = devices.ok().map(|devices| devices.len());
    let context = RequestContext::new(core, client);
    let decide = |records: PrincipalRecords, change: &mut Change<'_>| {
        let mut user = principal::still_live(records, change.now())?;
        user.distrust_devices(change.now());
        let event = SecurityEvent::DeviceRemoved {
            device: None,
            name: None,
            count,
        };
        change.record(principal, &event).put(&user);
        Ok(())
    };
    let changed = change::commit(core, &context, Class::Restrict, principal.keys(), decide).await?;
    Ok((count.unwrap_or(0), changed.durable().await?.1))
}

/// Keys of a change. An id of another partition cannot be the caller's.
fn keys(principal: &Principal, id: DeviceId) -> Result<Keys, Error> {
    if id.partition() != principal.user().id.partition() {
        return Err(Error::Refused(ProblemKind::NotFound));
    }
    Ok((principal.keys(), id))
}

/// The device, if it is trusted by an account that is still live. Two accounts may share a partition.
fn trusted((owner, device): Records, now: Timestamp) -> Result<TrustedDevice, Error> {
    let user = principal::still_live(owner, now)?;
    let device = device.filter(|device| device.is_trusted_by(&user, now));
    device.ok_or(Error::Refused(ProblemKind::NotFound))
}

fn nameless() -> Error {
    Error::Invalid(vec![FieldError {
        field: "deviceName",
        code: "required",
        message: "is required".to_owned(),
    }])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::core::fixtures::{alice, session_of, start};
    use crate::model::ClientInfo;

    fn device_of(user: &User) -> TrustedDevice {
        let client = ClientInfo {
            ip_address: [192, 0, 2, 1].into(),
            user_agent: "curl/8".to_owned(),
        };
        let id = Clock::manual(start()).new_id_in(user.id.partition());
        let (hash, name) = ("hash".to_owned(), "phone".to_owned());
        TrustedDevice::trust(
            id,
            user,
            hash,
            name,
            client,
            start(),
            Duration::from_hours(1),
        )
    }

    #[test]
    fn only_the_owner_of_a_device_that_is_still_trusted_finds_it() {
        let user = alice();
        let device = device_of(&user);
        let found = |user: &User, device: Option<TrustedDevice>| {
            let session = Some(Some(session_of(user, "hash")));
            let owner = ((session, None), Some(user.clone()));
            trusted((owner, device), start()).map_err(|error| error.code())
        };
        assert_eq!(found(&user, Some(device.clone())), Ok(device.clone()));
        assert_eq!(found(&user, None), Err("not_found"));
        assert_eq!(found(&alice(), Some(device.clone())), Err("not_found"));
        let mut removed = device.clone();
        removed.end(start());
        assert_eq!(found(&user, Some(removed)), Err("not_found"));
        let mut distrusting = user;
        distrusting.distrust_devices(start());
        assert_eq!(found(&distrusting, Some(device)), Err("not_found"));
    }
}
