//! Destinations of codes: numbers and addresses.

use zeroize::Zeroizing;

use crate::core::{Core, Error, sealing};
use crate::model::{Email, Method, MethodKind, PhoneNumber, masked_email, masked_phone};
use crate::outbound::Channel;

/// Destination of the codes of a method. Never printed.
pub(super) struct Destination {
    pub(super) kind: MethodKind,
    pub(super) channel: Channel,
    /// The number or address.
    pub(super) to: Zeroizing<String>,
    /// The same for all its spellings.
    pub(super) key: Zeroizing<String>,
}

impl Destination {
    pub(super) fn phone(number: &PhoneNumber) -> Self {
        Self {
            kind: MethodKind::Sms,
            channel: Channel::Sms,
            to: Zeroizing::new(number.as_str().to_owned()),
            key: Zeroizing::new(number.as_str().to_owned()),
        }
    }

    pub(super) fn mailbox(email: &Email) -> Self {
        Self {
            kind: MethodKind::Email,
            channel: Channel::Email,
            to: Zeroizing::new(email.as_entered().to_owned()),
            key: Zeroizing::new(email.key().to_owned()),
        }
    }

    /// Destination of a method's own text. `None` when it is none.
    fn of(kind: MethodKind, text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        match kind {
            MethodKind::Totp => None,
            MethodKind::Sms => PhoneNumber::parse(text).ok().as_ref().map(Self::phone),
            MethodKind::Email => Email::parse(text).ok().as_ref().map(Self::mailbox),
        }
    }

    /// Masked, as its owner recognises it.
    pub(super) fn hint(&self) -> String {
        match self.channel {
            Channel::Sms => masked_phone(&self.to),
            Channel::Email => masked_email(&self.to),
        }
    }

    /// That of a method which was set up.
    pub(super) fn of_method(core: &Core, method: &Method) -> Result<Self, Error> {
        let opened = sealing::unseal(core, sealing::method_secret(method.id), &method.secret)?;
        let nowhere = || Error::Internal(format!("method {} has no destination", method.id));
        Self::of(method.kind, &opened).ok_or_else(nowhere)
    }
}
