//! Settings of SMS: an account at Twilio, or at something that speaks like Twilio.

use super::complete;
use crate::config::Problem;
use crate::config::form::{Form, Hidden, List, Maybe, PublicUrl, Text};
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
        /// Numbers that SMS are sent to, by what they begin with: country calling codes, or more digits. By default
        /// all but numbers of high cost (satellite networks, premium rates), which have to be named themselves.
        countries: Vec<String> = Vec::new(), "SMS_COUNTRIES", List(CallingPrefixes);
        /// Address of Twilio's API, or of something that speaks like it.
        base_url: String = "https://api.twilio.com".to_owned(), "TWILIO_BASE_URL", PublicUrl;
    }
}

/// Form of what numbers begin with: digits, without the plus.
struct CallingPrefixes;

impl Form for CallingPrefixes {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        let fits = (1..=7).contains(&digits.len()) && all_digits && !digits.starts_with('0');
        fits.then(|| digits.to_owned())
    }

    fn show(&self, value: &String) -> String {
        format!("+{value}")
    }

    fn allowed(&self) -> String {
        "the first 1 to 7 digits of numbers in international form, as in +49".to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calling_prefix_has_one_form() {
        for text in ["+49", "49"] {
            let read = CallingPrefixes.parse(text).expect(text);
            assert_eq!(
                (read.as_str(), CallingPrefixes.show(&read)),
                ("49", "+49".to_owned())
            );
        }
        for bad in ["", "+", "0", "+049", "DE", "+49 151", "12345678", "++49"] {
            assert_eq!(CallingPrefixes.parse(bad), None, "{bad}");
        }
    }
}
