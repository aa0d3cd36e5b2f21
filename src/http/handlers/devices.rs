//! `GET` and `DELETE /2fa/devices`, `PATCH` and `DELETE /2fa/devices/:id`

use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::schema::{DeviceData, DevicesData, RemovedDevicesData, RenameDeviceBody};
use crate::model::DeviceId;

/// The caller's trusted devices.
pub(in crate::http) async fn list(call: Call) -> Result<Reply, Problem> {
    let devices = call.auth()?.devices(call.caller()?).await?;
    let devices = devices.iter().map(Into::into).collect();
    Reply::ok("Your trusted devices", DevicesData { devices })
}

/// Calls one by another name.
pub(in crate::http) async fn rename(call: Call) -> Result<Reply, Problem> {
    let id: DeviceId = call.id()?;
    let body: RenameDeviceBody = call.json()?;
    let (auth, caller) = (call.auth()?, call.caller()?);
    let name = body.device_name.as_str();
    let (device, durability) = auth.rename_device(&call.client, caller, id, name).await?;
    let device = (&device).into();
    Ok(Reply::ok("Device renamed", DeviceData { device })?.durability(durability))
}

/// Trusts one no more.
pub(in crate::http) async fn remove(call: Call) -> Result<Reply, Problem> {
    let (id, caller): (DeviceId, _) = (call.id()?, call.caller()?);
    let durability = call.auth()?.remove_device(&call.client, caller, id).await?;
    Ok(Reply::done("Device removed")?.durability(durability))
}

/// Trusts none any more.
pub(in crate::http) async fn remove_all(call: Call) -> Result<Reply, Problem> {
    let (auth, caller) = (call.auth()?, call.caller()?);
    let (removed, durability) = auth.remove_devices(&call.client, caller).await?;
    let reply = Reply::ok("Devices removed", RemovedDevicesData { removed })?;
    Ok(call.without_device_cookie(reply).durability(durability))
}
