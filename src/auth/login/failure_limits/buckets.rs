//! Buckets of login failures: by identifier and address, by account, and of those that have one of their own.

use std::net::IpAddr;

use crate::auth::login::subject::LoginSubject;
use crate::config::Limits;
use crate::core::limits::{Party, by_address};
use crate::model::Network;
use crate::store::{Bucket, Subject};

/// The only policy besides `login_address` that is shown.
pub(super) const SHOWN: &str = "login";
/// The policy of an account and an address together.
pub(super) const BY_ACCOUNT_AND_ADDRESS: &str = "login_account_address";

pub(super) fn own_bucket(limits: &Limits, party: Party) -> Bucket {
    Bucket {
        policy: SHOWN,
        quota: limits.login_account_address,
        subject: party.subject(),
    }
}

pub(super) fn identifier_buckets(
    limits: &Limits,
    address: IpAddr,
    identifier: &str,
) -> [Bucket; 2] {
    [
        Bucket {
            policy: SHOWN,
            quota: limits.login_account_address,
            subject: both(address, identifier),
        },
        Bucket {
            policy: "login_address",
            quota: limits.login_address,
            subject: by_address(address),
        },
    ]
}

pub(super) fn account_buckets(
    limits: &Limits,
    address: IpAddr,
    subject: &LoginSubject,
) -> [Bucket; 2] {
    [
        Bucket {
            policy: BY_ACCOUNT_AND_ADDRESS,
            quota: limits.login_account_address,
            subject: both(address, &subject.to_string()),
        },
        Bucket {
            policy: "login_account",
            quota: limits.login_account,
            subject: subject.bucket_subject(),
        },
    ]
}

/// The network comes first: it has no '|', which a name may have.
pub(super) fn both(address: IpAddr, name: &str) -> Subject {
    Subject::Text(format!("{}|{name}", Network::of(address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::login::subject::normal_form;
    use crate::core::fixtures::alice;
    use crate::model::Identifier;

    const HOME: &str = "192.0.2.7";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn unknown(typed: &str) -> LoginSubject {
        LoginSubject::named(Identifier::parse_login(typed), typed, None)
    }

    fn inner(address: &str, subject: &LoginSubject) -> Vec<Subject> {
        let buckets = account_buckets(&Limits::default(), ip(address), subject);
        buckets.into_iter().map(|bucket| bucket.subject).collect()
    }

    #[test]
    fn a_failure_counts_for_name_and_address_for_the_account_and_for_the_address() {
        let limits = Limits::default();
        let by_identifier = identifier_buckets(&limits, ip(HOME), "username:alice");
        let by_account = account_buckets(&limits, ip(HOME), &LoginSubject::of(&alice()));
        let quota = |bucket: Bucket| (bucket.policy, bucket.quota.quota);
        assert_eq!(
            by_identifier.map(quota),
            [("login", 5), ("login_address", 50)]
        );
        assert_eq!(
            by_account.map(quota),
            [("login_account_address", 5), ("login_account", 20)]
        );
    }

    #[test]
    fn all_names_of_an_account_share_its_limits() {
        let id = alice().id;
        let called = |name| LoginSubject::named(Identifier::parse_login(name), name, Some(id));
        let by_name = inner(HOME, &called("alice"));
        assert_eq!(by_name, inner(HOME, &called("alice@example.com")));
    }

    #[test]
    fn no_name_can_pass_for_another_address() {
        let one = inner(HOME, &unknown("192.0.2.9|x@example.com"));
        let other = inner("192.0.2.9", &unknown("x@example.com"));
        assert!(one.iter().all(|subject| !other.contains(subject)));
        let typed = "192.0.2.9|x@example.com";
        let typed = normal_form(Identifier::parse_login(typed).as_ref(), typed);
        assert_ne!(
            both(ip(HOME), &typed),
            both(ip("192.0.2.9"), "x@example.com")
        );
    }
}
