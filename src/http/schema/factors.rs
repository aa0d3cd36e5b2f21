//! Bodies of looking after second factors: methods, backup codes, trusted devices.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::bounded::DeviceName;
use super::second_factor::MethodName;
use crate::auth::MethodView;
use crate::model::{DeviceId, MethodId, MethodKind, Timestamp, TrustedDevice};

/// Codes as a body shows them.
pub(in crate::http) fn shown(codes: &[Zeroizing<String>]) -> Vec<&str> {
    codes.iter().map(|code| code.as_str()).collect()
}

/// New backup codes. All others are void.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct BackupCodesData<'a> {
    /// Shown this once.
    pub(in crate::http) backup_codes: Vec<&'a str>,
}

/// How many backup codes are left.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct BackupCodeCountData {
    pub(in crate::http) count: usize,
}

/// The caller's second factors.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MethodsData<'a> {
    pub(in crate::http) methods: Vec<MethodItem<'a>>,
}

/// One second factor.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MethodData<'a> {
    pub(in crate::http) method: MethodItem<'a>,
}

/// A second factor as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct MethodItem<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: MethodId,
    r#type: MethodName,
    /// Masked.
    #[schema(example = "***4567")]
    phone_number: Option<&'a str>,
    /// Masked.
    #[schema(example = "ada***@example.com")]
    email: Option<&'a str>,
    /// Whether it is asked for first.
    preferred: bool,
    /// False after too many failures in a row, until its owner enables it again.
    enabled: bool,
    /// When its owner showed that it works.
    #[schema(value_type = String, format = DateTime)]
    verified_at: Timestamp,
    /// When it last completed a login.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl<'a> From<&'a MethodView> for MethodItem<'a> {
    fn from(view: &'a MethodView) -> Self {
        let hint = |kind| view.hint.as_deref().filter(|_| view.kind == kind);
        Self {
            id: view.id,
            r#type: view.kind.into(),
            phone_number: hint(MethodKind::Sms),
            email: hint(MethodKind::Email),
            preferred: view.preferred,
            enabled: view.enabled,
            verified_at: view.created_at,
            last_used_at: view.last_used_at,
            created_at: view.created_at,
        }
    }
}

/// What shall change about a method. What is absent stays.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ChangeMethodBody {
    /// Whether to be asked for it first.
    pub(in crate::http) preferred: Option<bool>,
    /// `true` enables one that was disabled after too many failures; removing it is the way to disable one.
    pub(in crate::http) enabled: Option<bool>,
}

/// What shall change about a device.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RenameDeviceBody {
    /// What to call it.
    #[schema(value_type = String, max_length = 256, example = "My laptop")]
    pub(in crate::http) device_name: DeviceName,
}

/// The caller's trusted devices.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct DevicesData<'a> {
    pub(in crate::http) devices: Vec<DeviceItem<'a>>,
}

/// One trusted device.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct DeviceData<'a> {
    pub(in crate::http) device: DeviceItem<'a>,
}

/// A device that skips the second factor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DeviceItem<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: DeviceId,
    device_name: &'a str,
    /// Address at its last use.
    #[schema(value_type = String)]
    ip_address: std::net::IpAddr,
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

/// How many devices are trusted no more.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RemovedDevicesData {
    pub(in crate::http) removed: usize,
}
