//! Trusted devices at the doors: whose token may skip the second factor, and how a device becomes trusted.

use super::arrival::Arrival;
use super::{Auth, Client};
use crate::crypto::{Opened, TokenKind};
use crate::model::{DeviceId, Rotation, Seen, Timestamp, TrustedDevice, User, UserId, device_name};

/// Longest name of a device, in characters.
const LONGEST_NAME: usize = 64;

/// A wish to trust the device that is logging in.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// What its owner calls it; by default what it calls itself.
    pub name: Option<String>,
}

/// A device token to hand to its owner.
#[derive(Clone)]
pub struct DeviceToken {
    /// Its text.
    pub text: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// A device that is about to be trusted.
pub(super) struct NewDevice {
    token: Opened,
    name: String,
    seen: Seen,
}

/// What a presented device token is worth.
pub(super) enum Trusted {
    /// It is the newest of its family; this is the device after its rotation.
    Rotated(TrustedDevice),
    /// It is the one before, in time: the newest is handed out again.
    Again(TrustedDevice),
    /// It was used before: the device is trusted no more.
    Reused(TrustedDevice),
    /// Nothing: another account's, removed, expired, or unknown.
    No,
}

impl Auth {
    /// Opens a device token. What does not open counts as absent: the second factor is asked for then.
    pub(super) fn device_arrival(&self, client: &Client, text: Option<&str>) -> Option<Arrival> {
        self.arrival(TokenKind::Device, client, text?).ok()
    }

    /// What a device's token is worth to `user`.
    pub(super) fn judge_device(
        &self,
        device: Option<TrustedDevice>,
        user: &User,
        arrival: &Arrival,
    ) -> Trusted {
        let Some(mut device) = device.filter(|device| device.is_trusted_by(user, arrival.now))
        else {
            return Trusted::No;
        };
        let grace = self.settings.tokens.refresh_grace;
        let same_client = arrival.seen.user_agent == device.user_agent;
        match device.judge(arrival.presented(), arrival.now, grace, same_client) {
            Rotation::Current => {
                device.rotate(arrival.successor(), arrival.seen.clone(), arrival.now);
                Trusted::Rotated(device)
            }
            Rotation::Grace => Trusted::Again(device),
            Rotation::Reused => {
                device.end(arrival.now);
                Trusted::Reused(device)
            }
            Rotation::Ahead => Trusted::No,
        }
    }

    /// The newest token of a device that let its owner in.
    pub(super) fn device_token_again(
        &self,
        device: &TrustedDevice,
        arrival: &Arrival,
    ) -> Option<DeviceToken> {
        let newest = if device.token_hash == arrival.next.hash() {
            Some(arrival.next.clone())
        } else {
            self.newest_again(arrival, device.successor.as_deref(), &device.token_hash)
        };
        newest.map(|newest| self.device_token(device, &newest))
    }

    /// Names a device and draws its first token.
    pub(super) fn new_device(&self, client: &Client, user_id: UserId, trust: &Trust) -> NewDevice {
        let id: DeviceId = self.clock.new_id_in(user_id.partition());
        let seen = client.seen();
        let name = trust.name.as_deref().and_then(clean_name);
        NewDevice {
            token: self.opaque_tokens.mint(TokenKind::Device, id.id(), 1),
            name: name.unwrap_or_else(|| device_name(&seen.user_agent)),
            seen,
        }
    }

    /// The record of a new device, to be committed before its token is handed out.
    pub(super) fn trust(&self, new: &NewDevice, user: &User, now: Timestamp) -> TrustedDevice {
        TrustedDevice::trust(
            DeviceId::from(new.token.id),
            user,
            new.token.hash(),
            new.name.clone(),
            new.seen.clone(),
            now,
            self.settings.second_factors.device_ttl,
        )
    }

    /// The first token of a device that is committed.
    pub(super) fn first_device_token(
        &self,
        device: &TrustedDevice,
        new: &NewDevice,
    ) -> DeviceToken {
        self.device_token(device, &new.token)
    }

    fn device_token(&self, device: &TrustedDevice, newest: &Opened) -> DeviceToken {
        DeviceToken {
            text: self.opaque_tokens.encode(TokenKind::Device, newest),
            expires_at: device.expires_at,
        }
    }
}

/// A name as it is kept: one line, no longer than its bound. `None` when nothing is left.
pub(super) fn clean_name(typed: &str) -> Option<String> {
    let words = typed.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let name: String = words.join(" ").chars().take(LONGEST_NAME).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(
            clean_name("  My\n\tphone \u{85} ").as_deref(),
            Some("My phone")
        );
        assert_eq!(clean_name(" \r\n"), None);
        let long = clean_name(&"ü".repeat(500)).expect("a name");
        assert_eq!(long.chars().count(), LONGEST_NAME);
    }
}
