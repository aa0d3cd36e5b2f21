//! Letters in English.

use super::super::{Event, Method};
use super::{Purpose, Words};

pub(super) struct English;

impl Words for English {
    fn code_sms(&self, purpose: Purpose, code: &str, minutes: u64) -> String {
        let minutes = span(minutes);
        match purpose {
            Purpose::Login => {
                format!("{code} is your login code. Valid for {minutes}. Never tell it to anyone.")
            }
            Purpose::Reauthentication => {
                format!(
                    "{code} confirms that it is you. Valid for {minutes}. Never tell it to anyone."
                )
            }
            Purpose::Enrolment => {
                format!(
                    "{code} confirms your number. Valid for {minutes}. Never tell it to anyone."
                )
            }
        }
    }

    fn code_subject(&self, purpose: Purpose, host: &str) -> String {
        match purpose {
            Purpose::Login => format!("Your login code for {host}"),
            Purpose::Reauthentication => format!("Your code for {host}"),
            Purpose::Enrolment => format!("Confirm your address for {host}"),
        }
    }

    fn code_mail(&self, purpose: Purpose, code: &str, minutes: u64, host: &str) -> String {
        let minutes = span(minutes);
        let (what, otherwise) = match purpose {
            Purpose::Login => (
                format!("Your login code for {host} is:"),
                "If you are not logging in right now, somebody knows your password: change it.",
            ),
            Purpose::Reauthentication => (
                format!("This code confirms that it is you who changes something at {host}:"),
                "If you are not changing anything right now, somebody is in your account: end all sessions.",
            ),
            Purpose::Enrolment => (
                format!("This code makes your address a second factor for {host}:"),
                "If you did not ask for it, somebody may have mistyped an address: ignore this mail.",
            ),
        };
        format!(
            "{what}\n\n    {code}\n\n\
             It is valid for {minutes} and works once. Never tell it to anyone, not even to us.\n\n\
             {otherwise}\n"
        )
    }

    fn happened(&self, event: &Event) -> String {
        match event {
            Event::SecondFactorAdded { method } => {
                format!("{} now works as a second factor.", name(*method))
            }
            Event::SecondFactorRemoved { method } => {
                format!("{} was removed as a second factor.", name(*method))
            }
            Event::SecondFactorDisabled { method } => {
                format!("{} was disabled after too many wrong codes.", name(*method))
            }
            Event::SecondFactorsOff => "The second factor was turned off.".to_owned(),
            Event::BackupCodesRegenerated => "New backup codes replaced the old ones.".to_owned(),
            Event::BackupCodeUsed { left } => {
                format!("A backup code was used; {left} left.")
            }
            Event::DeviceTrusted { .. } => "A device no longer needs the second factor.".to_owned(),
            Event::PasswordChanged => "The password was changed.".to_owned(),
            Event::ApiKeyCreated { .. } => "An API key was made.".to_owned(),
            Event::ApiKeyReported { .. } => {
                "An API key was reported as leaked and has ended.".to_owned()
            }
            Event::RefreshTokenReused => {
                "A login token was used twice; its session was ended.".to_owned()
            }
            Event::DeviceTokenReused => {
                "A trusted device's token was used twice; the device is no longer trusted."
                    .to_owned()
            }
        }
    }

    fn notice_subject(&self, host: &str) -> String {
        format!("Security of your account at {host}")
    }

    fn notice_sms(&self, happened: &str, host: &str) -> String {
        format!("{host}: {happened} Not you? Change your password now.")
    }

    fn notice_mail(&self, happened: &str, event: &Event, about: &[String], host: &str) -> String {
        let advice = match event {
            Event::SecondFactorDisabled { .. } => {
                "If this was not you, somebody knows your password and guesses codes: change your \
                 password.\nTo enable the second factor again, log in with another one."
            }
            Event::PasswordChanged => {
                "If this was you, all is well. If not, somebody else is in your account: ask for a new \
                 password\nat once, then end all sessions and look at your second factors."
            }
            Event::ApiKeyReported { .. } => {
                "Somebody found it where it should not be. Make another key for whatever used it,\n\
                 and look at what it was used for."
            }
            Event::RefreshTokenReused | Event::DeviceTokenReused => {
                "Somebody may have copied it from a device of yours. Change your password, end all sessions,\n\
                 and look at your second factors and trusted devices."
            }
            _ => {
                "If this was you, all is well. If not, change your password at once, end all sessions,\n\
                 and look at your second factors and trusted devices."
            }
        };
        let about = about.join("\n");
        format!("This happened to your account at {host}:\n\n{happened}\n\n{about}\n\n{advice}\n")
    }

    fn labels(&self) -> [&'static str; 5] {
        ["When", "From", "With", "Trusted", "API key"]
    }
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Totp => "An authenticator app",
        Method::Sms => "A phone number",
        Method::Email => "A mail address",
        Method::BackupCodes => "The set of backup codes",
    }
}

fn span(minutes: u64) -> String {
    match minutes {
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}
