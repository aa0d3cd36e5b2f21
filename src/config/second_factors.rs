//! Settings of second factors, challenges and trusted devices.

use std::time::Duration;

use super::form::{Choice, DAY, LIFETIME, Number, SECOND, Span, Switch, Text};
use super::setting::settings;

settings! {
    /// Second factors.
    pub struct SecondFactors = config.second_factors {
        /// Name of the service in authenticator apps.
        totp_issuer: String = "Sallyport".to_owned(), "TOTP_ISSUER", ISSUER;
        /// Steps of 30 s that the clock of an authenticator app may be off, either way.
        totp_skew_steps: u8 = 1, "TOTP_SKEW_STEPS", Number(0..=10);
        /// How long a login waits for its second factor.
        challenge_ttl: Duration = Duration::from_mins(5), "CHALLENGE_TTL", MINUTES;
        /// How long a code sent by SMS or e-mail is good.
        code_ttl: Duration = Duration::from_mins(5), "CODE_TTL", MINUTES;
        /// How long the secret of an authenticator app waits to be confirmed.
        enrolment_ttl: Duration = Duration::from_mins(10), "ENROLMENT_TTL", MINUTES;
        /// How long a trusted device skips the second factor.
        device_ttl: Duration = 30 * DAY, "DEVICE_TTL", LIFETIME;
        /// Whether second factors can be set up only after the e-mail address was verified.
        require_verified_email: bool = false, "REQUIRE_VERIFIED_EMAIL_FOR_2FA", Switch;
        /// Accounts that must set a second factor up before anything else: `admins` are those with a role that
        /// grants a permission over others, and with any that was defined.
        required_of: RequiredOf = RequiredOf::Admins, "REQUIRE_2FA", REQUIRED_OF;
    }
}

/// Accounts that must have a second factor (`REQUIRE_2FA`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequiredOf {
    /// None.
    Nobody,
    /// Those with a role that grants a permission over others.
    #[default]
    Admins,
    /// Every one.
    All,
}

const REQUIRED_OF: Choice<RequiredOf> = Choice(&[
    ("off", RequiredOf::Nobody),
    ("admins", RequiredOf::Admins),
    ("all", RequiredOf::All),
]);

const MINUTES: Span = Span(SECOND.saturating_mul(30)..=SECOND.saturating_mul(3600));

/// Ends at a colon in an otpauth URI, and has to fit into a QR code.
const ISSUER: Text = Text {
    accepts: |text| {
        !text.trim().is_empty()
            && text.len() <= 64
            && !text.chars().any(|c| c == ':' || c.is_control())
    },
    allowed: "1 to 64 bytes, no colon, no control characters",
};
