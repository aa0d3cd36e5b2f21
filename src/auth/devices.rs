//! Trusted devices, as their owner sees them: list, rename, remove. How one is used is in `device`.

use super::audit::Trail;
use super::device::clean_name;
use super::error::FieldError;
use super::sessions::live_pair;
use super::{Auth, Caller, Client, Error};
use crate::model::{
    Action, AuditEvent, DeviceId, Session, SessionId, Timestamp, TrustedDevice, User, UserId,
};
use crate::store::{Class, Draft, Durability};

/// What a change of one device is decided by.
type Keys = ((SessionId, UserId), DeviceId);
type Records = ((Option<Session>, Option<User>), Option<TrustedDevice>);

impl Auth {
    /// The devices that the caller trusts, newest first.
    ///
    /// # Errors
    /// [`Error::StoreAway`].
    pub async fn devices(&self, caller: &Caller) -> Result<Vec<TrustedDevice>, Error> {
        let now = self.clock.now();
        let mut devices = self.store.owned_by::<TrustedDevice>(caller.user.id).await?;
        devices.retain(|device| device.is_trusted_by(&caller.user, now));
        Ok(devices)
    }

    /// Gives a trusted device another name.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id and for somebody else's; [`Error::Invalid`] when nothing is
    /// left of the name.
    pub async fn rename_device(
        &self,
        client: &Client,
        caller: &Caller,
        id: DeviceId,
        name: &str,
    ) -> Result<(TrustedDevice, Durability), Error> {
        let name = clean_name(name).ok_or_else(nameless)?;
        let (keys, trail) = (keys(caller, id)?, self.trail(client));
        let decide = |records: Records, draft: &mut Draft| {
            let mut device = trusted(records, trail.now)?;
            if device.name != name {
                device.name.clone_from(&name);
                draft.put(&device);
                draft.trace(&entry(Action::DeviceRenamed, &device, caller, &trail));
            }
            Ok::<_, Error>(device)
        };
        let (device, receipt) = self.store.transact(Class::Grant, keys, decide).await?;
        Ok((device, receipt.durable().await?))
    }

    /// Ends the trust in one device: its next login asks for the second factor.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id and for somebody else's.
    pub async fn remove_device(
        &self,
        client: &Client,
        caller: &Caller,
        id: DeviceId,
    ) -> Result<Durability, Error> {
        let (keys, trail) = (keys(caller, id)?, self.trail(client));
        let decide = |records: Records, draft: &mut Draft| {
            let mut device = trusted(records, trail.now)?;
            device.end(trail.now);
            draft.put(&device);
            draft.trace(&entry(Action::DeviceRemoved, &device, caller, &trail));
            Ok::<_, Error>(())
        };
        let ((), receipt) = self.store.transact(Class::Restrict, keys, decide).await?;
        Ok(receipt.durable().await?)
    }

    /// Ends the trust in all devices: by one write of the account, whatever their number. Returns how many
    /// there were, as far as they could be counted: with PostgreSQL away they end uncounted.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when the caller's own session ended meanwhile.
    pub async fn remove_devices(
        &self,
        client: &Client,
        caller: &Caller,
    ) -> Result<(usize, Durability), Error> {
        let count = self.devices(caller).await.ok().map(|devices| devices.len());
        let trail = self.trail(client);
        let decide = |records: (Option<Session>, Option<User>), draft: &mut Draft| {
            let (session, mut user) = live_pair(records, trail.now)?;
            user.distrust_devices(trail.now);
            draft.put(&user);
            let details = serde_json::json!({ "count": count });
            let entry = trail.session_entry(Action::DeviceRemoved, user.id, session.id);
            draft.trace(&entry.with(details));
            Ok::<_, Error>(())
        };
        let keys = (caller.session.id, caller.user.id);
        let ((), receipt) = self.store.transact(Class::Restrict, keys, decide).await?;
        Ok((count.unwrap_or(0), receipt.durable().await?))
    }
}

/// An id of another partition is nobody's here.
fn keys(caller: &Caller, id: DeviceId) -> Result<Keys, Error> {
    if id.partition() != caller.user.id.partition() {
        return Err(Error::NotFound);
    }
    Ok(((caller.session.id, caller.user.id), id))
}

/// The device, if it is trusted by an account that still stands. Two accounts may share a partition.
fn trusted((pair, device): Records, now: Timestamp) -> Result<TrustedDevice, Error> {
    let (_, user) = live_pair(pair, now)?;
    let device = device.filter(|device| device.is_trusted_by(&user, now));
    device.ok_or(Error::NotFound)
}

fn entry(action: Action, device: &TrustedDevice, caller: &Caller, trail: &Trail) -> AuditEvent {
    let details = serde_json::json!({ "device": device.id, "name": device.name });
    let entry = trail.session_entry(action, device.user_id, caller.session.id);
    entry.with(details)
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
    use crate::auth::fixtures::{alice, session_of, start};
    use crate::clock::Clock;
    use crate::model::Seen;

    fn device_of(user: &User) -> TrustedDevice {
        let seen = Seen {
            ip_address: [192, 0, 2, 1].into(),
            user_agent: "curl/8".to_owned(),
        };
        let id = Clock::manual(start()).new_id_in(user.id.partition());
        let (hash, name) = ("hash".to_owned(), "phone".to_owned());
        TrustedDevice::trust(id, user, hash, name, seen, start(), Duration::from_hours(1))
    }

    #[test]
    fn only_the_owner_of_a_device_that_is_still_trusted_finds_it() {
        let user = alice();
        let device = device_of(&user);
        let found = |user: &User, device: Option<TrustedDevice>| {
            let pair = (Some(session_of(user, "hash")), Some(user.clone()));
            trusted((pair, device), start()).map_err(|error| error.code())
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
