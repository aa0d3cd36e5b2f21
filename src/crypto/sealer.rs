//! Sealing of secrets at rest: XChaCha20-Poly1305 under a versioned key, bound to the place where the
//! secret is stored, so that a sealed value moved to another row or column does not open there.
//!
//! Form: `s1.` + base64url of nonce (24 bytes) ‖ ciphertext ‖ tag (16 bytes); 1 is the version of the key. What
//! stands before the dot is under the tag too.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::Keys;
use super::keys::{SealingKey, active_sealing};
use crate::clock;
use crate::model::{Id, Timestamp};

const NONCE: usize = 24;

/// Where a sealed secret is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Table, as PostgreSQL names it.
    pub table: &'static str,
    /// Which row.
    pub row: Id,
    /// Column.
    pub column: &'static str,
}

impl Place {
    /// Each part with its length before it: no two places look alike.
    fn associated_data(&self, version: u32) -> Vec<u8> {
        let mut data = Vec::with_capacity(64);
        let row = self.row.to_bytes();
        for part in [
            prefix(version).as_bytes(),
            self.table.as_bytes(),
            &row,
            self.column.as_bytes(),
        ] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// What was stored is not what was sealed there: another place, another key, or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed secret does not open")]
pub struct SealError;

/// Seals and opens secrets. Never printed; keys are wiped on drop.
pub struct Sealer {
    /// Oldest first. Never empty.
    keys: Vec<Arc<SealingKey>>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// With every sealing key of the key file.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self {
            keys: keys.sealing().to_vec(),
        }
    }

    /// Seals `secret` for `place` with the newest key that has begun at `now`.
    ///
    /// # Errors
    /// [`SealError`] when it is longer than the cipher can take (256 GiB).
    pub fn seal(&self, place: Place, secret: &[u8], now: Timestamp) -> Result<String, SealError> {
        let key = active_sealing(&self.keys, now);
        let nonce: [u8; NONCE] = clock::random();
        let payload = Payload {
            msg: secret,
            aad: &place.associated_data(key.version),
        };
        let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload);
        let mut text = prefix(key.version);
        let whole = [nonce.as_slice(), &sealed.map_err(|_| SealError)?].concat();
        URL_SAFE_NO_PAD.encode_string(whole, &mut text);
        Ok(text)
    }

    /// Opens what was sealed for `place`, with whichever key.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, place: Place, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (key, encoded) = self.split(sealed).ok_or(SealError)?;
        let whole = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| SealError)?;
        let (nonce, msg) = whole.split_first_chunk::<NONCE>().ok_or(SealError)?;
        let payload = Payload {
            msg,
            aad: &place.associated_data(key.version),
        };
        let opened = cipher(key).decrypt(&XNonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| SealError)
    }

    /// Version of the key that seals at `now`: what is of another [`Sealer::version_of`] is to be sealed anew.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> u32 {
        active_sealing(&self.keys, now).version
    }

    /// Version of the key that `sealed` names; `None` when it is no sealed text, or of a key that is not known here.
    #[must_use]
    pub fn version_of(&self, sealed: &str) -> Option<u32> {
        self.split(sealed).map(|(key, _)| key.version)
    }

    /// The key that a text names, and what follows.
    fn split<'a>(&self, sealed: &'a str) -> Option<(&SealingKey, &'a str)> {
        self.keys
            .iter()
            .find_map(|key| Some((&**key, sealed.strip_prefix(&prefix(key.version))?)))
    }
}

/// What a text begins with whose key has this version.
fn prefix(version: u32) -> String {
    format!("s{version}.")
}

/// Wipes its copy of the key on drop.
fn cipher(key: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.secret).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::{for_tests, of_version_1};

    const START: Timestamp = Timestamp::from_micros(0);
    const LATER: Timestamp = Timestamp::from_micros(3_600_000_000);
    const LATEST: Timestamp = Timestamp::from_micros(7_200_000_000);

    fn place() -> Place {
        Place {
            table: "two_factor_methods",
            row: Id::from_bytes([7; 16]),
            column: "secret",
        }
    }

    fn fresh() -> Sealer {
        Sealer::new(&for_tests(START))
    }

    #[test]
    fn what_was_sealed_opens_at_its_place_alone() {
        let sealer = fresh();
        for secret in [b"".as_slice(), b"JBSWY3DPEHPK3PXP", &[0xff; 4096]] {
            let text = sealer.seal(place(), secret, START).expect("seals");
            assert_eq!(
                sealer.open(place(), &text).expect("opens").as_slice(),
                secret
            );
            let row = Id::from_bytes(clock::random());
            for elsewhere in [
                Place { row, ..place() },
                Place {
                    column: "secret2",
                    ..place()
                },
                Place {
                    table: "webhooks",
                    ..place()
                },
                Place {
                    table: "two_factor_method",
                    column: "ssecret",
                    ..place()
                },
            ] {
                assert!(sealer.open(elsewhere, &text).is_err(), "{elsewhere:?}");
            }
            assert!(fresh().open(place(), &text).is_err());
        }
    }

    #[test]
    fn equal_secrets_look_different_and_every_change_is_noticed() {
        let sealer = fresh();
        let text = sealer.seal(place(), b"secret", START).expect("seals");
        assert_ne!(text, sealer.seal(place(), b"secret", START).expect("seals"));
        for index in 0..text.len() {
            let mut forged = text.clone();
            let other = if &text[index..=index] == "Q" {
                "R"
            } else {
                "Q"
            };
            forged.replace_range(index..=index, other);
            assert!(sealer.open(place(), &forged).is_err(), "{index}");
        }
        for bad in ["", "s1.", "s1.AAAA", "s2.AAAA", &text[3..]] {
            assert!(sealer.open(place(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_newest_key_that_has_begun_seals_and_every_known_one_opens() {
        let before = for_tests(START);
        let keys = before.with_sealing_key(LATER).with_sealing_key(LATEST);
        let sealer = Sealer::new(&keys);
        let just_before = Timestamp::from_micros(LATER.micros() - 1);
        let mut texts = Vec::new();
        for (now, version) in [
            (Timestamp::from_micros(-1), 1),
            (START, 1),
            (just_before, 1),
            (LATER, 2),
            (LATEST, 3),
        ] {
            let text = sealer.seal(place(), b"secret", now).expect("seals");
            assert!(text.starts_with(&format!("s{version}.")), "{text}");
            assert_eq!(sealer.current(now), version);
            assert_eq!(sealer.version_of(&text), Some(version));
            texts.push(text);
        }
        let old = Sealer::new(&before);
        for text in &texts {
            let opened = sealer.open(place(), text).expect("opens");
            assert_eq!(opened.as_slice(), b"secret");
            let known = text.starts_with("s1.");
            assert_eq!(old.version_of(text).is_some(), known, "{text}");
            assert_eq!(old.open(place(), text).is_ok(), known, "{text}");
        }
    }

    #[test]
    fn a_version_is_under_the_tag() {
        let keys = for_tests(START);
        let secret = keys.sealing()[0].secret.clone();
        // The same bytes as key 1 and as key 2: only the version tells them apart.
        let key = |version, not_before| {
            let secret = secret.clone();
            Arc::new(SealingKey {
                version,
                secret,
                not_before,
            })
        };
        let sealer = Sealer {
            keys: vec![key(1, START), key(2, LATER)],
        };
        let text = sealer.seal(place(), b"secret", START).expect("seals");
        assert!(sealer.open(place(), &text).is_ok());
        assert!(sealer.open(place(), &text.replace("s1.", "s2.")).is_err());
    }

    #[test]
    fn what_is_not_sealed_has_no_version() {
        let sealer = Sealer::new(&for_tests(START).with_sealing_key(LATER));
        for text in [
            "", "s", "s.", "1.", "s0.AA", "s3.AA", "s01.AA", "s+1.AA", "s1", "S1.AA", " s1.AA",
            "s12.AA",
        ] {
            assert_eq!(sealer.version_of(text), None, "{text}");
        }
    }

    /// Sealed by the build before there were versions of keys, with a key file of that time.
    #[test]
    fn what_was_sealed_before_keys_had_versions_still_opens() {
        let sealer = Sealer::new(&of_version_1([7; 32]));
        let text = "s1.6y33fsRuCp-70frzamMUHYqsz8neo-xpzj1Lva2cpukVBycCUKrbbNCTqR0kKNot65ZlVzbGjQ8";
        assert_eq!(
            sealer.open(place(), text).expect("opens").as_slice(),
            b"JBSWY3DPEHPK3PXP"
        );
        assert_eq!(sealer.version_of(text), Some(1));
    }

    /// Draft-irtf-cfrg-xchacha, A.3.1: the cipher is the one that others implement.
    #[test]
    fn the_cipher_meets_its_published_vector() {
        let key: Vec<u8> = (0x80..0xa0).collect();
        let nonce: Vec<u8> = (0x40..0x58).collect();
        let msg = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let cipher = XChaCha20Poly1305::new_from_slice(&key).expect("32 bytes");
        let payload = Payload {
            msg,
            aad: &hex::decode("50515253c0c1c2c3c4c5c6c7").expect("hex"),
        };
        let nonce = XNonce::try_from(nonce.as_slice()).expect("24 bytes");
        let sealed = hex::encode(cipher.encrypt(&nonce, payload).expect("seals"));
        assert!(
            sealed.starts_with("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb")
        );
        assert!(sealed.ends_with("c0875924c1c7987947deafd8780acf49"));
    }
}
