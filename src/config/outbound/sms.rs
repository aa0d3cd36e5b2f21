//! Settings of SMS: an account at Twilio, or at something that speaks like Twilio.

use super::complete;
use crate::config::Problem;
use crate::config::form::{Hidden, Maybe, PublicUrl, Text};
use crate::config::setting::settings;

settings! {
    /// SMS through Twilio.
    pub struct Sms = config.outbound.sms {
        /// Account that sends SMS; with the two below SMS is a second factor.
        account_sid: Option<String> = None, "TWILIO_ACCOUNT_SID", Maybe(ACCOUNT_SID);
        /// Auth token of `TWILIO_ACCOUNT_SID`.
        auth_token: Option<String> = None, "TWILIO_AUTH_TOKEN", Maybe(Hidden);
        /// Number that SMS come from.
        phone_number: Option<String> = None, "TWILIO_PHONE_NUMBER", Maybe(SENDER);
        /// Address of Twilio's API, or of something that speaks like it.
        base_url: String = "https://api.twilio.com".to_owned(), "TWILIO_BASE_URL", PublicUrl;
    }
}

const ACCOUNT_SID: Text = Text {
    accepts: |text| {
        let digits = text.strip_prefix("AC").unwrap_or_default();
        digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    },
    allowed: "AC and 32 hexadecimal digits",
};

/// E.164 has at most 15 digits; short codes have no country and no plus.
const SENDER: Text = Text {
    accepts: |text| {
        let (digits, length) = match text.strip_prefix('+') {
            Some(digits) => (digits, 7..=15),
            None => (text, 3..=8),
        };
        length.contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    },
    allowed: "a number in E.164 form, as in +15551234567, or a short code",
};

/// An account is whole or absent.
pub(super) fn check(sms: &Sms, problems: &mut Vec<Problem>) {
    let parts = [
        ("TWILIO_ACCOUNT_SID", sms.account_sid.is_some()),
        ("TWILIO_AUTH_TOKEN", sms.auth_token.is_some()),
        ("TWILIO_PHONE_NUMBER", sms.phone_number.is_some()),
    ];
    complete(&parts, &parts, problems);
}
