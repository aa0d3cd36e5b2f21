//! Conditions of a search as a client writes them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::core::{Error, FieldError};
use crate::model::{Action, AuditFilter, Timestamp, UserId};

/// Conditions of a search as they were written.
#[derive(Clone, Debug, Default)]
pub struct Conditions<'a> {
    /// Name of an event (`user.login`), or all that begin alike (`user.*`).
    pub action: Option<&'a str>,
    /// Account that it is about.
    pub user_id: Option<UserId>,
    /// Account that did it.
    pub actor_id: Option<UserId>,
    /// Address or network (`192.0.2.0/24`).
    pub ip: Option<&'a str>,
    /// Whether it went through.
    pub success: Option<bool>,
    /// Earliest time.
    pub from: Option<Timestamp>,
    /// Time before which it was.
    pub to: Option<Timestamp>,
    /// Words in action, user agent and details.
    pub q: Option<&'a str>,
}

impl Conditions<'_> {
    /// Reads them.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every field that is none.
    pub(super) fn parse(&self) -> Result<AuditFilter, Error> {
        let mut errors = Vec::new();
        let mut check = |field: &'static str, message: &str, holds: bool| {
            if !holds {
                errors.push(FieldError {
                    field,
                    code: "invalid",
                    message: message.to_owned(),
                });
            }
        };
        let actions = self.action.map(actions);
        let known = actions.as_ref().is_none_or(|actions| !actions.is_empty());
        check(
            "action",
            "must be the name of an event, or the beginning of some followed by .*",
            known,
        );
        let network = self.ip.map(network);
        check(
            "ip",
            "must be an address or a network like 192.0.2.0/24",
            network != Some(None),
        );
        let has_word = self.q.is_none_or(|q| q.chars().any(char::is_alphanumeric));
        let is_plain = self.q.is_none_or(|q| !q.chars().any(char::is_control));
        check(
            "q",
            "must have a letter or digit and no control characters",
            has_word && is_plain,
        );
        let in_order = self.from.zip(self.to).is_none_or(|(from, to)| from < to);
        check("to", "must be later than from", in_order);
        if !errors.is_empty() {
            return Err(Error::Invalid(errors));
        }
        Ok(AuditFilter {
            actions,
            user_id: self.user_id,
            actor_id: self.actor_id,
            network: network.flatten(),
            success: self.success,
            from: self.from,
            to: self.to,
            words: self.q.map(str::to_owned),
        })
    }
}

/// The events of a name or of the beginning of some.
fn actions(pattern: &str) -> Vec<Action> {
    let all = Action::ALL.iter().copied();
    let fits = |action: &Action| match pattern.strip_suffix('*') {
        Some(beginning) => beginning.ends_with('.') && action.row().name.starts_with(beginning),
        None => action.row().name == pattern,
    };
    all.filter(fits).collect()
}

/// The network of a text; an address is the network of itself.
fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical().into()),
        Err(_) => text.parse::<IpNet>().ok().map(|network| network.trunc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_event_and_a_beginning_all_of_its_group() {
        assert_eq!(actions("user.login"), [Action::UserLogin]);
        let devices = [
            Action::DeviceTrusted,
            Action::DeviceRenamed,
            Action::DeviceRemoved,
            Action::DeviceTokenReused,
        ];
        assert_eq!(actions("device.*"), devices);
        for none in [
            "",
            "*",
            ".*",
            "user",
            "user*",
            "user.log*",
            "nobody.*",
            "user.login ",
        ] {
            assert_eq!(actions(none), [], "{none}");
        }
    }

    #[test]
    fn an_address_is_the_network_of_itself() {
        let text = |text: &str| network(text).map(|network| network.to_string());
        assert_eq!(text("192.0.2.7").as_deref(), Some("192.0.2.7/32"));
        assert_eq!(text("192.0.2.7/24").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(text("2001:db8::/32").as_deref(), Some("2001:db8::/32"));
        assert_eq!(text("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7/32"));
        for none in ["", "192.0.2", "192.0.2.0/33", "example.com", "1.2.3.4/-1"] {
            assert_eq!(text(none), None, "{none}");
        }
    }
}
