//! Trust in devices: the verdict over a presented device token, and the records of a new trusted device.

use crate::auth::session::presented_token::PresentedToken;
use crate::core::{Client, Core};
use crate::crypto::{Opened, TokenKind};
use crate::model::{
    ClientInfo, DeviceId, Rotation, Timestamp, TrustedDevice, User, UserId, device_name,
};

/// Longest name of a device, in characters.
const MAX_NAME: usize = 64;

/// Request to trust the device that logs in.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Name that its owner gives it; by default the one of its user agent.
    pub name: Option<String>,
}

/// A device token, for its owner.
#[derive(Clone)]
pub struct DeviceToken {
    /// Its text.
    pub text: String,
    /// End of its life.
    pub expires_at: Timestamp,
}

/// A device that is about to be trusted.
pub(crate) struct NewDevice {
    token: Opened,
    name: String,
    client: ClientInfo,
}

/// Verdict over a presented device token.
pub(crate) enum TokenVerdict {
    /// It is the newest of its family; this is the device after its rotation.
    Rotated(TrustedDevice),
    /// It is the one before, in time: the newest is returned again.
    Again(TrustedDevice),
    /// It was used before: the device is trusted no more.
    Reused(TrustedDevice),
    /// Another account's, removed, expired, or unknown.
    Worthless,
}

/// Opens a device token. One that does not open counts as absent: the second factor is asked for then.
pub(crate) fn present(core: &Core, client: &Client, text: Option<&str>) -> Option<PresentedToken> {
    PresentedToken::open(core, TokenKind::Device, client, text?).ok()
}

/// Judges a device's token for `user`.
pub(crate) fn judge(
    core: &Core,
    device: Option<TrustedDevice>,
    user: &User,
    token: &PresentedToken,
) -> TokenVerdict {
    let Some(mut device) = device.filter(|device| device.is_trusted_by(user, token.now)) else {
        return TokenVerdict::Worthless;
    };
    let grace = core.settings.tokens.refresh_grace;
    let same_client = token.client.user_agent == device.user_agent;
    match device.judge(token.presented(), token.now, grace, same_client) {
        Rotation::Current => {
            device.rotate(token.successor(), token.client.clone(), token.now);
            TokenVerdict::Rotated(device)
        }
        Rotation::Grace => TokenVerdict::Again(device),
        Rotation::Reused => {
            device.end(token.now);
            TokenVerdict::Reused(device)
        }
        Rotation::Ahead => TokenVerdict::Worthless,
    }
}

/// The newest token of a device whose token was presented and accepted.
pub(crate) fn newest_token(
    core: &Core,
    device: &TrustedDevice,
    presented: &PresentedToken,
) -> Option<DeviceToken> {
    let newest = if device.token_hash == presented.next.hash() {
        Some(presented.next.clone())
    } else {
        presented.newest(core, device.successor.as_deref(), &device.token_hash)
    };
    newest.map(|newest| token(core, device, &newest))
}

/// Names a device and draws its first token.
pub(crate) fn new_device(
    core: &Core,
    client: &Client,
    user_id: UserId,
    trust: &Trust,
) -> NewDevice {
    let id: DeviceId = core.clock.new_id_in(user_id.partition());
    let client = client.info();
    let name = trust.name.as_deref().and_then(clean_name);
    NewDevice {
        token: core.opaque_tokens.mint(TokenKind::Device, id.id(), 1),
        name: name.unwrap_or_else(|| device_name(&client.user_agent)),
        client,
    }
}

/// The record of a new device, to be committed before its token is handed out.
pub(crate) fn record(core: &Core, new: &NewDevice, user: &User, now: Timestamp) -> TrustedDevice {
    TrustedDevice::trust(
        DeviceId::from(new.token.id),
        user,
        new.token.hash(),
        new.name.clone(),
        new.client.clone(),
        now,
        core.settings.second_factors.device_ttl,
    )
}

/// The first token of a device that is committed.
pub(crate) fn first_token(core: &Core, device: &TrustedDevice, new: &NewDevice) -> DeviceToken {
    token(core, device, &new.token)
}

fn token(core: &Core, device: &TrustedDevice, newest: &Opened) -> DeviceToken {
    DeviceToken {
        text: core.opaque_tokens.encode(TokenKind::Device, newest),
        expires_at: device.expires_at,
    }
}

/// A name as it is kept: one line, no longer than its bound. `None` when nothing is left.
pub(super) fn clean_name(typed: &str) -> Option<String> {
    let words = typed.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let name: String = words.join(" ").chars().take(MAX_NAME).collect();
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
        assert_eq!(long.chars().count(), MAX_NAME);
    }
}
