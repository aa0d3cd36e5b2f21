//! Sealing of secrets at rest: XChaCha20-Poly1305 under a versioned key, bound to the place where the
//! secret is stored, so that a sealed value moved to another row or column does not open there.
//!
//! Form: `s1.` + base64url of nonce (24 bytes) ‖ ciphertext ‖ tag (16 bytes); 1 is the version of the key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::Keys;
use crate::clock;
use crate::model::Id;

/// Names form and key version of what is sealed today.
const PREFIX: &str = "s1.";
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
    fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(64);
        let row = self.row.to_bytes();
        for part in [
            PREFIX.as_bytes(),
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

/// Seals and opens secrets. Never printed; the cipher wipes its key on drop.
pub struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// With a key derived from the master secret.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        let key = keys.derive("sealing 1");
        Self {
            cipher: XChaCha20Poly1305::new((&*key).into()),
        }
    }

    /// Seals `secret` for `place`.
    ///
    /// # Errors
    /// [`SealError`] when it is longer than the cipher can take (256 GiB).
    pub fn seal(&self, place: Place, secret: &[u8]) -> Result<String, SealError> {
        let nonce: [u8; NONCE] = clock::random();
        let payload = Payload {
            msg: secret,
            aad: &place.associated_data(),
        };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let mut text = PREFIX.to_owned();
        let whole = [nonce.as_slice(), &sealed.map_err(|_| SealError)?].concat();
        URL_SAFE_NO_PAD.encode_string(whole, &mut text);
        Ok(text)
    }

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, place: Place, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let encoded = sealed.strip_prefix(PREFIX).ok_or(SealError)?;
        let whole = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| SealError)?;
        let (nonce, msg) = whole.split_first_chunk::<NONCE>().ok_or(SealError)?;
        let payload = Payload {
            msg,
            aad: &place.associated_data(),
        };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| SealError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::for_tests;
    use crate::model::Timestamp;

    fn place() -> Place {
        Place {
            table: "two_factor_methods",
            row: Id::from_bytes([7; 16]),
            column: "secret",
        }
    }

    fn fresh() -> Sealer {
        Sealer::new(&for_tests(Timestamp::from_micros(0)))
    }

    #[test]
    fn what_was_sealed_opens_at_its_place_alone() {
        let sealer = fresh();
        for secret in [b"".as_slice(), b"JBSWY3DPEHPK3PXP", &[0xff; 4096]] {
            let text = sealer.seal(place(), secret).expect("seals");
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
        let text = sealer.seal(place(), b"secret").expect("seals");
        assert_ne!(text, sealer.seal(place(), b"secret").expect("seals"));
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
