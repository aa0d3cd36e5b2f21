//! Trusted devices, which skip the second factor.

mod owned;
pub(crate) mod trust;

pub use owned::{list, remove, remove_all, rename};
pub use trust::{DeviceToken, Trust};
