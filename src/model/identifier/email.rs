//! An e-mail address: RFC 5321 bounds, RFC 5322 dot-atoms, RFC 6531 letters, UTS #46 domains.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::IdentifierError;
use super::fold::{fold, is_invisible};

/// An e-mail address: as entered, and its normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    entered: String,
    key: String,
}

impl Email {
    /// Longest address in bytes (RFC 5321, 4.5.3.1.3: a path of 256 with its brackets).
    pub const MAX_BYTES: usize = 254;
    /// Longest local part in bytes (RFC 5321, 4.5.3.1.1).
    pub const MAX_LOCAL_BYTES: usize = 64;

    /// Checks an address and normalises it: the local part by NFKC and case folding, the domain to its
    /// ASCII form. Quoted local parts, comments, address literals, hosts without a dot and spaces around
    /// the address are refused.
    ///
    /// # Errors
    /// The first rule that the address breaks.
    pub fn parse(entered: &str) -> Result<Self, IdentifierError> {
        if entered.is_empty() {
            return Err(IdentifierError::Required);
        }
        if entered.len() > Self::MAX_BYTES {
            return Err(IdentifierError::TooLong(Self::MAX_BYTES));
        }
        if entered.chars().any(is_unwritable) {
            return Err(IdentifierError::Characters);
        }
        let (local, domain) = entered
            .split_once('@')
            .ok_or(IdentifierError::NotAnAddress)?;
        let key = format!("{}@{}", local_key(local)?, domain_key(domain)?);
        if key.len() > Self::MAX_BYTES {
            return Err(IdentifierError::TooLong(Self::MAX_BYTES));
        }
        Ok(Self {
            entered: entered.to_owned(),
            key,
        })
    }

    /// The address as entered.
    #[must_use]
    pub fn as_entered(&self) -> &str {
        &self.entered
    }

    /// The normal form.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Whether an address may not hold `c`: controls would break lines of mail and logs; spaces and invisible
/// characters make look-alikes.
fn is_unwritable(c: char) -> bool {
    c.is_control() || c.is_whitespace() || is_invisible(c)
}

/// The normal form of a local part, checked before and after: normalising can bring forth an `@`.
fn local_key(local: &str) -> Result<String, IdentifierError> {
    check_local(local)?;
    let key = fold(local).ok_or(IdentifierError::Characters)?;
    check_local(&key)?;
    Ok(key)
}

fn check_local(local: &str) -> Result<(), IdentifierError> {
    if local.len() > Email::MAX_LOCAL_BYTES {
        return Err(IdentifierError::TooLong(Email::MAX_LOCAL_BYTES));
    }
    if local.split('.').any(str::is_empty) {
        return Err(IdentifierError::NotAnAddress);
    }
    if local.chars().all(is_local) {
        Ok(())
    } else {
        Err(IdentifierError::Characters)
    }
}

/// `atext` of RFC 5322 and the dot, and beyond ASCII what RFC 6531 allows.
fn is_local(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~.".contains(c)
        || (!c.is_ascii() && !is_unwritable(c))
}

/// The ASCII form of a domain of at least two labels, the last of which is not a number.
fn domain_key(domain: &str) -> Result<String, IdentifierError> {
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .map_err(|_| IdentifierError::Domain)?;
    let (_, top) = ascii.rsplit_once('.').ok_or(IdentifierError::Domain)?;
    if top.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(IdentifierError::Domain);
    }
    Ok(ascii.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(entered: &str) -> Result<String, IdentifierError> {
        Email::parse(entered).map(|email| email.key)
    }

    #[test]
    fn an_address_keeps_what_was_entered_beside_its_normal_form() {
        let email = Email::parse("Alice.Smith+News@Exämple.COM").expect("valid");
        assert_eq!(email.as_entered(), "Alice.Smith+News@Exämple.COM");
        assert_eq!(email.key(), "alice.smith+news@xn--exmple-cua.com");
    }

    #[test]
    fn look_alikes_are_one_address() {
        for entered in [
            "ALICE@EXAMPLE.COM",
            "ａｌｉｃｅ@example.com",
            "alıce@example.com",
            "alice@ｅｘａｍｐｌｅ.com",
            "alice@example。com",
        ] {
            assert_eq!(
                key(entered),
                Ok("alice@example.com".to_owned()),
                "{entered}"
            );
        }
        assert_eq!(key("\u{212a}im@example.com"), key("kim@example.com"));
        assert_eq!(key("a@xn--exmple-cua.com"), key("a@exämple.com"));
    }

    #[test]
    fn letters_of_another_script_are_another_address() {
        assert_ne!(key("\u{430}lice@example.com"), key("alice@example.com"));
        assert_ne!(key("alice@ex\u{430}mple.com"), key("alice@example.com"));
    }

    #[test]
    fn what_could_break_a_line_or_hide_is_refused() {
        for entered in [
            " alice@example.com",
            "alice@example.com ",
            "alice@example.com\r\nBcc: eve@example.com",
            "alice\0@example.com",
            "al\u{200b}ice@example.com",
            "alice@exa\u{ad}mple.com",
            "\u{202e}alice@example.com",
            "al ice@example.com",
            "al\u{a0}ice@example.com",
        ] {
            assert_eq!(
                key(entered),
                Err(IdentifierError::Characters),
                "{entered:?}"
            );
        }
    }

    #[test]
    fn normalising_cannot_smuggle_in_what_is_refused() {
        for entered in [
            "alice＠evil.com@example.com",
            "alice，bob@example.com",
            "＂alice＂@example.com",
        ] {
            assert_eq!(key(entered), Err(IdentifierError::Characters), "{entered}");
        }
        assert_eq!(
            key("alice．．b@example.com"),
            Err(IdentifierError::NotAnAddress)
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        use IdentifierError::{Characters, Domain, NotAnAddress, Required};
        for (entered, error) in [
            ("", Required),
            ("alice", NotAnAddress),
            ("@example.com", NotAnAddress),
            (".alice@example.com", NotAnAddress),
            ("alice.@example.com", NotAnAddress),
            ("a..b@example.com", NotAnAddress),
            ("alice@", Domain),
            ("alice@localhost", Domain),
            ("alice@example.com.", Domain),
            ("alice@.com", Domain),
            ("alice@-example.com", Domain),
            ("alice@exa_mple.com", Domain),
            ("alice@127.0.0.1", Domain),
            ("alice@[127.0.0.1]", Domain),
            ("a@b@example.com", Domain),
            ("\"alice\"@example.com", Characters),
            ("<alice>@example.com", Characters),
            ("a,b@example.com", Characters),
        ] {
            assert_eq!(key(entered), Err(error), "{entered}");
        }
    }

    #[test]
    fn bounds_hold_to_the_byte() {
        let local = "l".repeat(64);
        assert!(key(&format!("{local}@example.com")).is_ok());
        assert_eq!(
            key(&format!("{local}l@example.com")),
            Err(IdentifierError::TooLong(64))
        );
        let label = "d".repeat(61);
        let domain = format!("{label}.{label}.{label}.com");
        assert_eq!(local.len() + 1 + domain.len(), 254);
        assert!(key(&format!("{local}@{domain}")).is_ok());
        assert_eq!(
            key(&format!("{local}@d{domain}")),
            Err(IdentifierError::TooLong(254))
        );
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form(local in "[\\PC--[@. ]]{1,12}", domain in "[a-zA-Zäßşж。.-]{1,20}\\.(com|рф|Köln)") {
            if let Ok(email) = Email::parse(&format!("{local}@{domain}")) {
                prop_assert_eq!(key(email.key()), Ok(email.key().to_owned()));
                prop_assert_eq!(email.key().matches('@').count(), 1);
            }
        }

        #[test]
        fn case_never_makes_another_address(local in "[a-zA-Z0-9.+_-]{1,20}", domain in "[a-zA-Z0-9-]{1,20}\\.[a-z]{2,6}") {
            let entered = format!("{local}@{domain}");
            prop_assert_eq!(key(&entered), key(&entered.to_ascii_uppercase()));
        }

        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            let _ = Email::parse(&text);
        }
    }
}
