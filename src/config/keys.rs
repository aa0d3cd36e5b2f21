//! Settings of the key file.

use std::path::PathBuf;

use super::form::Location;
use super::setting::settings;

settings! {
    /// Keys.
    pub struct Keys = config.keys {
        /// File with the signing keys and the master secret, made by `sallyport keys generate`.
        file: PathBuf = PathBuf::from("keys.json"), "KEYS_FILE", Location;
    }
}
