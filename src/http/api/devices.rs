//! `GET` and `DELETE /2fa/devices`, `PATCH` and `DELETE /2fa/devices/:id`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::device;
use crate::core::permission::Scope;
use crate::http::contract::prelude::*;
use crate::http::contract::text::DeviceName;
use crate::model::{DeviceId, Timestamp, TrustedDevice};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/2fa/devices", handler!(list))
        .titled(
            Tag::SecondFactor,
            "listDevices",
            "The caller's trusted devices",
        )
        .described("Devices that skip the second factor, each until `expiresAt`.")
        .open_to(UserOrScope(Scope::TwoFactorRead))
        .gives::<DevicesData>(200),
    Route::delete("/2fa/devices", handler!(remove_all))
        .titled(
            Tag::SecondFactor,
            "removeDevices",
            "Trust no device any more",
        )
        .described("Every device has to show a second factor at its next login.")
        .open_to(RecentUserOrScope(Scope::TwoFactorWrite))
        .gives::<RemovedDevicesData>(200),
    Route::patch("/2fa/devices/:id", handler!(rename))
        .titled(
            Tag::SecondFactor,
            "renameDevice",
            "Call a trusted device by another name",
        )
        .described("The name is for its owner alone. Spaces and control characters are tidied up.")
        .open_to(RecentUserOrScope(Scope::TwoFactorWrite))
        .gives::<DeviceData>(200)
        .refuses(&[Kind::NotFound]),
    Route::delete("/2fa/devices/:id", handler!(remove))
        .titled(Tag::SecondFactor, "removeDevice", "Trust a device no more")
        .described("It has to show a second factor at its next login.")
        .open_to(RecentUserOrScope(Scope::TwoFactorWrite))
        .refuses(&[Kind::NotFound]),
];

/// A change of a device.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RenameDeviceBody {
    /// Its new name.
    #[schema(value_type = String, min_length = 1, max_length = 256, example = "My laptop")]
    device_name: DeviceName,
}

/// The caller's trusted devices.
#[derive(Serialize, ToSchema)]
struct DevicesData<'a> {
    devices: Vec<DeviceItem<'a>>,
}

/// One trusted device.
#[derive(Serialize, ToSchema)]
struct DeviceData<'a> {
    device: DeviceItem<'a>,
}

/// A device that skips the second factor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeviceItem<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: DeviceId,
    #[schema(example = "My laptop")]
    device_name: &'a str,
    /// Address at its last use.
    #[schema(value_type = String, example = "192.0.2.7")]
    ip_address: std::net::IpAddr,
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0")]
    user_agent: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last skipped the second factor.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// When it is over, however much it is used.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl<'a> From<&'a TrustedDevice> for DeviceItem<'a> {
    fn from(device: &'a TrustedDevice) -> Self {
        Self {
            id: device.id,
            device_name: &device.name,
            ip_address: device.ip_address,
            user_agent: &device.user_agent,
            created_at: device.created_at,
            last_used_at: device.last_used_at,
            expires_at: device.expires_at,
        }
    }
}

/// Number of devices that are trusted no more.
#[derive(Serialize, ToSchema)]
struct RemovedDevicesData {
    removed: usize,
}

async fn list(call: Call, (): ()) -> Result<Reply, Problem> {
    let devices = device::list(call.core()?, call.user()?).await?;
    let devices = devices.iter().map(Into::into).collect();
    Reply::ok("Your trusted devices", DevicesData { devices })
}

async fn rename(
    call: Call,
    (Path(id), Json(body)): (Path<DeviceId>, Json<RenameDeviceBody>),
) -> Result<Reply, Problem> {
    let (core, principal) = (call.core()?, call.principal()?);
    let name = body.device_name.as_str();
    let (device, durability) = device::rename(core, &call.client, principal, id, name).await?;
    let device = (&device).into();
    Ok(Reply::ok("Device renamed", DeviceData { device })?.durability(durability))
}

async fn remove(call: Call, Path(id): Path<DeviceId>) -> Result<Reply, Problem> {
    let (core, principal) = (call.core()?, call.principal()?);
    let durability = device::remove(core, &call.client, principal, id).await?;
    Ok(Reply::done("Device removed")?.durability(durability))
}

async fn remove_all(call: Call, (): ()) -> Result<Reply, Problem> {
    let (core, principal) = (call.core()?, call.principal()?);
    let (removed, durability) = device::remove_all(core, &call.client, principal).await?;
    let reply = Reply::ok("Devices removed", RemovedDevicesData { removed })?;
    Ok(call.without_device_cookie(reply).durability(durability))
}
