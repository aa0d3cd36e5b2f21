//! `sallyport totp`: the code of an authenticator app, for who has none at hand.

use super::print;
use crate::app::Error;
use crate::clock::Clock;
use crate::crypto::TotpSecret;

/// Prints the code of now.
pub(super) fn print_code(base32_text: &str) -> Result<(), Error> {
    let secret = TotpSecret::from_base32(base32_text).ok_or_else(|| {
        Error::NotReady("that is no secret: 32 letters and digits of base32 are needed".to_owned())
    })?;
    let code = secret.code_at(Clock::system().now());
    print(&format!("{code}\n"));
    Ok(())
}
