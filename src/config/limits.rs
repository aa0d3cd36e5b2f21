//! Settings of the rate limits.

use std::time::Duration;

use super::form::{DAY, Form, Number, SECOND, Span, Switch};
use super::setting::{Setting, settings};
use super::{Config, Mode, Problem};

settings! {
    /// Rate limits.
    pub struct Limits = config.limits {
        /// Whether limits are in force. Off is for load tests: refused outside `sallyport dev` unless `ALLOW_UNLIMITED=1`.
        /// Shares of addresses in the hash queue are off, too.
        enabled: bool = true, "RATE_LIMITS", Switch;
        /// Whether `RATE_LIMITS=off` passes outside `sallyport dev`.
        allow_unlimited: bool = false, "ALLOW_UNLIMITED", Switch;
        /// Login failures of one account from one address.
        login_account_address: Quota = Quota::new(5, 900), "LIMIT_LOGIN_ACCOUNT_ADDRESS", Rate;
        /// Login failures of one account from anywhere but trusted devices and clients that have logged in to it. An
        /// account that has had as many is throttled for strangers, see `LIMIT_LOGIN_STRANGERS`.
        login_account: Quota = Quota::new(20, 900), "LIMIT_LOGIN_ACCOUNT", Rate;
        /// Login failures from one address over all accounts.
        login_address: Quota = Quota::new(50, 900), "LIMIT_LOGIN_ADDRESS", Rate;
        /// Passwords of strangers that are compared with a throttled account's. All others are answered as if wrong.
        login_strangers: Quota = Quota::new(1, 10), "LIMIT_LOGIN_STRANGERS", Rate;
        /// Logins of one account whose password was right; where it has a second factor, those of each trusted device
        /// and each client that it knows apart.
        login_success: Quota = Quota::new(60, 900), "LIMIT_LOGIN_SUCCESS", Rate;
        /// Tries at the second factors of one account; those of each of its sessions and each client that it knows apart.
        second_factor: Quota = Quota::new(10, 900), "LIMIT_SECOND_FACTOR", Rate;
        /// Codes sent to one account, and to one number or address (for logins and for set-ups apart); changes of one
        /// password, each of which sends a notice.
        code_sends: Quota = Quota::new(3, 3600), "LIMIT_CODE_SENDS", Rate;
        /// SMS that one address asks for.
        sms_address: Quota = Quota::new(10, 3600), "LIMIT_SMS_ADDRESS", Rate;
        /// SMS that one network (IPv4: /24, IPv6: /48) asks for.
        sms_network: Quota = Quota::new(50, 3600), "LIMIT_SMS_NETWORK", Rate;
        /// All SMS: the budget against toll fraud.
        sms: Quota = Quota::new(1000, 86400), "LIMIT_SMS", Rate;
        /// Mails of one kind (codes of a set-up, notices of one event) to one address that is not verified. Notices
        /// beyond it are dropped.
        unverified_mail: Quota = Quota::new(1, 3600), "LIMIT_UNVERIFIED_MAIL", Rate;
        /// Registrations from one address.
        register: Quota = Quota::new(3, 3600), "LIMIT_REGISTER", Rate;
        /// Requests that show a token of one session which is not a live access token (refresh, an access token that
        /// has expired), or of one challenge. They are not counted by address.
        token: Quota = Quota::new(100, 900), "LIMIT_TOKEN", Rate;
        /// Everything else from one address without a token.
        anonymous: Quota = Quota::new(100, 900), "LIMIT_ANONYMOUS", Rate;
        /// Everything else of one account.
        account: Quota = Quota::new(1000, 900), "LIMIT_ACCOUNT", Rate;
        /// Requests by one API key that has no `rateLimit` of its own. They count towards no other limit.
        api_key: Quota = Quota::new(1000, 3600), "LIMIT_API_KEY", Rate;
    }
}

/// Never more than `quota` in any span of `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub quota: u32,
    /// In how long.
    pub window: Duration,
}

impl Quota {
    /// `quota` per `window_seconds`.
    #[must_use]
    pub const fn new(quota: u32, window_seconds: u64) -> Self {
        Self {
            quota,
            window: Duration::from_secs(window_seconds),
        }
    }

    fn per_second(self) -> f64 {
        f64::from(self.quota) / self.window.as_secs_f64()
    }
}

/// Form of a [`Quota`]: `5/15m`.
struct Rate;

const WINDOW: Span = Span(SECOND..=DAY.saturating_mul(30));

impl Form for Rate {
    type Value = Quota;

    fn parse(&self, text: &str) -> Option<Quota> {
        let (quota, window) = text.split_once('/')?;
        Some(Quota {
            quota: Number(1..=1_000_000).parse(quota.trim())?,
            window: WINDOW.parse(window.trim())?,
        })
    }

    fn show(&self, value: &Quota) -> String {
        format!("{}/{}", value.quota, WINDOW.show(&value.window))
    }

    fn allowed(&self) -> String {
        "N/WINDOW, as in 5/15m or 5/900 (seconds); N from 1 to 1000000, WINDOW from 1s to 30d"
            .to_owned()
    }
}

/// Refuses to run without limits where that was not meant.
pub(super) fn check(mode: Mode, config: &Config, problems: &mut Vec<Problem>) {
    let limits = &config.limits;
    if !limits.enabled && mode != Mode::Dev && !limits.allow_unlimited {
        let advice = "without limits passwords can be guessed; if this is a load test, say ALLOW_UNLIMITED=1";
        problems.push(Problem::new("RATE_LIMITS", advice).was("off".to_owned()));
    }
}

/// Names of the limits that let pass so many tries, a second or at once, that they limit nobody.
pub(super) fn absurd(config: &Config) -> Vec<String> {
    let default = Config::default();
    let rate = |config: &Config, setting: &Setting| Rate.parse(&(setting.show)(config));
    let is_absurd = |setting: &&Setting| {
        let (Some(given), Some(usual)) = (rate(config, setting), rate(&default, setting)) else {
            return false;
        };
        given.per_second() > 100.0 * usual.per_second() || given.quota > 100 * usual.quota
    };
    let absurd = Limits::CONCERN.settings.iter().filter(is_absurd);
    absurd.map(|setting| setting.name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_read() {
        assert_eq!(Rate.parse("5/900"), Some(Quota::new(5, 900)));
        assert_eq!(Rate.parse("5 / 15m"), Some(Quota::new(5, 900)));
        for bad in [
            "", "5", "0/900", "5/0", "5/", "/900", "-5/900", "5/900/1", "5/31d",
        ] {
            assert_eq!(Rate.parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(quota in 1..1_000_000_u32, seconds in 1..2_592_000_u64) {
            let rate = Quota::new(quota, seconds);
            prop_assert_eq!(Rate.parse(&Rate.show(&rate)), Some(rate));
        }
    }
}
