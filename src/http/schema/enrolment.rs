//! Bodies of setting a second factor up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::bounded::{Code, Destination, Secret};

/// An authenticator app to be set up. All of it is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct TotpSetupData<'a> {
    /// In Base32, to be typed.
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    pub(in crate::http) secret: &'a str,
    /// The same and its parameters, as apps read them.
    pub(in crate::http) otpauth_url: &'a str,
    /// The same as a picture: `data:image/png;base64,…`.
    pub(in crate::http) qr_code: &'a str,
    /// Become valid when a code of the app is shown.
    pub(in crate::http) backup_codes: Vec<&'a str>,
    /// Seconds until the set-up is over.
    pub(in crate::http) expires_in: u64,
}

/// A PNG picture as a page can show it without asking for it.
pub(in crate::http) fn png_url(png: &[u8]) -> Zeroizing<String> {
    const KIND: &str = "data:image/png;base64,";
    // Room for all of it: a longer string would leave a copy behind.
    let mut url = String::with_capacity(KIND.len() + png.len().div_ceil(3) * 4);
    url.push_str(KIND);
    STANDARD.encode_string(png, &mut url);
    Zeroizing::new(url)
}

/// A code that shows that a method works.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct VerifySetupBody {
    /// Six digits.
    #[schema(value_type = String, max_length = 64, example = "123456")]
    pub(in crate::http) code: Code,
}

/// A code that shows that an authenticator app works.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct VerifyTotpSetupBody {
    /// Six digits.
    #[schema(value_type = String, max_length = 64, example = "123456")]
    pub(in crate::http) code: Code,
    /// The secret that was shown. Another one is refused; none is fine.
    #[schema(value_type = Option<String>, max_length = 256)]
    pub(in crate::http) secret: Option<Secret>,
}

/// A phone that shall get codes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SmsSetupBody {
    /// In E.164 form.
    #[schema(value_type = String, max_length = 320, example = "+15551234567")]
    pub(in crate::http) phone_number: Destination,
}

/// A mailbox that shall get codes.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct EmailSetupBody {
    /// Its address.
    #[schema(value_type = String, max_length = 320, example = "ada@example.com")]
    pub(in crate::http) email: Destination,
}

/// A method counts from now on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct EnabledData<'a> {
    /// The codes that are valid from now on; absent where older ones still are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http) backup_codes: Option<Vec<&'a str>>,
}
