//! One-time codes that the service sends by SMS or e-mail: drawn here, and stored only as a keyed MAC.
//!
//! An attacker inverts a plain hash of six digits with a million tries. A MAC under a key that is not in the stores
//! reveals nothing.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Keys;
use super::mac::hmac;
use crate::clock;
use crate::model::{Id, SixDigits};

/// Draws codes and recognises them by their MAC. Never printed.
pub struct OneTimeCodes {
    key: Zeroizing<[u8; 32]>,
}

impl OneTimeCodes {
    /// Takes its key from the master secret.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self {
            key: keys.derive("one-time code"),
        }
    }

    /// A fresh code: each of the million is equally likely.
    #[must_use]
    pub fn draw(&self) -> SixDigits {
        loop {
            let drawn = Zeroizing::new(clock::random());
            if let Some(code) = fair(*drawn) {
                return code;
            }
        }
    }

    /// The stored MAC of `code`: HMAC-SHA-256 in hex, of no use for another row, purpose or deployment.
    #[must_use]
    pub fn mac(&self, row: Id, purpose: &str, code: &SixDigits) -> String {
        hex::encode(self.keyed(row, purpose, code).finalize().into_bytes())
    }

    /// Whether `mac` is of this code, in constant time.
    #[must_use]
    pub fn matches(&self, row: Id, purpose: &str, code: &SixDigits, mac: &str) -> bool {
        let mut stored = [0; 32];
        hex::decode_to_slice(mac, &mut stored).is_ok()
            && self.keyed(row, purpose, code).verify_slice(&stored).is_ok()
    }

    /// The MAC's input: each part with its length before it, so that no two triples have the same.
    fn keyed(&self, row: Id, purpose: &str, code: &SixDigits) -> Hmac<Sha256> {
        let row = row.to_bytes();
        let parts = [row.as_slice(), purpose.as_bytes(), code.as_str().as_bytes()];
        parts.into_iter().fold(hmac(&self.key), |mac, part| {
            mac.chain_update((part.len() as u64).to_be_bytes())
                .chain_update(part)
        })
    }
}

/// The code of a random number; `None` for the few at the top that would make some codes likelier than others.
fn fair(random: [u8; 4]) -> Option<SixDigits> {
    const FAIR: u32 = u32::MAX - u32::MAX % SixDigits::COUNT;
    let number = u32::from_le_bytes(random);
    (number < FAIR).then(|| SixDigits::of(number))
}

impl fmt::Debug for OneTimeCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCodes(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::crypto::keys::for_tests;
    use crate::model::Timestamp;

    fn codes() -> OneTimeCodes {
        OneTimeCodes::new(&for_tests(Timestamp::from_micros(0)))
    }

    fn row(byte: u8) -> Id {
        Id::from_bytes([byte; 16])
    }

    #[test]
    fn a_code_matches_its_own_mac_alone() {
        let codes = codes();
        let (code, other) = (SixDigits::of(12_345), SixDigits::of(12_346));
        let mac = codes.mac(row(1), "sms", &code);
        assert_eq!(mac.len(), 64);
        assert!(codes.matches(row(1), "sms", &code, &mac));
        assert!(!codes.matches(row(1), "sms", &other, &mac));
        assert!(!codes.matches(row(2), "sms", &code, &mac));
        assert!(!codes.matches(row(1), "email", &code, &mac));
        assert!(!self::codes().matches(row(1), "sms", &code, &mac));
        for bad in [
            "",
            "00",
            &mac[..62],
            &format!("{mac}00"),
            "zz",
            code.as_str(),
        ] {
            assert!(!codes.matches(row(1), "sms", &code, bad), "{bad}");
        }
    }

    /// A stored MAC must stay valid in the next version. (Computed with Python's hmac.)
    #[test]
    fn the_mac_is_fixed() {
        let codes = OneTimeCodes {
            key: Zeroizing::new([7; 32]),
        };
        assert_eq!(
            codes.mac(row(1), "sms", &SixDigits::of(123_456)),
            "4b64b8fa32647a16631c221a8103acc45dace651aca0ea0835836e0d719ebe16"
        );
    }

    #[test]
    fn the_unfair_rest_is_drawn_again() {
        let of = |number: u32| fair(number.to_le_bytes()).map(|code| code.as_str().to_owned());
        assert_eq!(of(0).as_deref(), Some("000000"));
        assert_eq!(of(1_000_000).as_deref(), Some("000000"));
        assert_eq!(of(4_293_999_999).as_deref(), Some("999999"));
        assert_eq!(of(4_294_000_000), None);
        assert_eq!(of(u32::MAX), None);
    }

    #[test]
    fn codes_are_drawn_from_all_of_them() {
        let codes = codes();
        let drawn: Vec<_> = (0..3000).map(|_| codes.draw()).collect();
        let distinct: HashSet<_> = drawn.iter().map(SixDigits::as_str).collect();
        assert!(distinct.len() > 2900, "{}", distinct.len());
        for place in 0..6 {
            let digits: HashSet<_> = drawn
                .iter()
                .map(|code| code.as_str().as_bytes()[place])
                .collect();
            assert_eq!(digits.len(), 10, "place {place}");
        }
    }
}
