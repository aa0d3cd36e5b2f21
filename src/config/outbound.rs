//! Settings of messages to people: SMS through Twilio, mail through SMTP.

mod email;
mod sms;

pub use self::email::{Email, EmailSecurity, EmailService};
pub use self::sms::Sms;

use std::time::Duration;

use url::Url;

use super::form::{SECOND, Span};
use super::setting::settings;
use super::{Config, Problem};

settings! {
    /// Delivery of SMS and mail.
    pub struct Outbound = config.outbound {
        /// Time for handing one SMS or mail to its provider, from connecting to its answer.
        timeout: Duration = Duration::from_secs(15), "DELIVERY_TIMEOUT", DELIVERY;
        also {
            /// Host of `PUBLIC_URL`: the origin that codes are bound to, and the domain of message ids.
            host: String = "localhost".to_owned();
            /// Whether channels that are not configured end in a local outbox. Only `sallyport dev` sets this.
            local_outbox: bool = false;
            /// SMS.
            sms: Sms = Sms::default();
            /// Mail.
            email: Email = Email::default();
        }
    }
}

/// A claim on a letter lasts a minute: a hand-over that takes longer has it delivered by another process, too.
const DELIVERY: Span = Span(Duration::from_millis(1)..=SECOND.saturating_mul(45));

/// Takes the host of `PUBLIC_URL`, which codes and mails name.
pub(super) fn note_host(config: &mut Config) {
    let public = config.http.public_url.as_deref().map(Url::parse);
    if let Some(host) = public.and_then(|url| url.ok()?.host_str().map(str::to_owned)) {
        config.outbound.host = host;
    }
}

/// Fills in what a known provider's name says.
pub(super) fn note_service(config: &mut Config, problems: &mut Vec<Problem>) {
    email::note_service(&mut config.outbound.email, problems);
}

/// Parts of a provider's account that are missing beside others.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    sms::check(&config.outbound.sms, problems);
    email::check(&config.outbound.email, problems);
}

/// With one of `any` given, all of `needed` must be.
fn complete(any: &[(&str, bool)], needed: &[(&str, bool)], problems: &mut Vec<Problem>) {
    let Some((given, _)) = any.iter().find(|(_, is_given)| *is_given) else {
        return;
    };
    for (name, _) in needed.iter().filter(|(_, is_given)| !is_given) {
        problems.push(Problem::new(name, format!("is missing beside {given}")));
    }
}
