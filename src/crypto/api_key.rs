//! API keys: `pk_live_` or `pk_test_` + base62 of id ‖ 256-bit secret ‖ CRC-32.
//!
//! The 52 bytes are one number, written with 70 digits of `0-9A-Za-z`, so that every key has one width and one text.
//! The CRC-32 (that of zlib, big-endian) covers the prefix, the id and the secret: a scanner tells a key from noise,
//! and one of a test deployment from a live one, without asking anybody. It proves nothing: what proves a key is the
//! hash of its secret, which is all that is stored.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::InvalidToken;
use crate::clock;
use crate::config::ApiKeyMode;
use crate::model::Id;

/// Bytes of id and secret.
const BODY: usize = 16 + 32;
/// Bytes of [`BODY`] and its CRC-32.
const WHOLE: usize = BODY + 4;
/// The same in limbs of 32 bits.
const LIMBS: usize = WHOLE / 4;
/// Digits that hold [`WHOLE`] bytes in base62.
const DIGITS: usize = 70;
/// Bytes of either prefix.
const PREFIX: usize = 8;
/// Bytes of the text that lists show: the prefix, and digits of the id alone.
const SHOWN: usize = PREFIX + 8;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The content of an API key that was just made, or whose form and CRC are right.
pub struct ApiKeyToken {
    /// Kind of deployment that it is for.
    pub mode: ApiKeyMode,
    /// The record that it belongs to.
    pub id: Id,
    /// Its 256-bit secret.
    secret: Zeroizing<[u8; 32]>,
}

impl ApiKeyToken {
    /// A key with a fresh secret.
    #[must_use]
    pub fn mint(mode: ApiKeyMode, id: Id) -> Self {
        Self {
            mode,
            id,
            secret: Zeroizing::new(clock::random()),
        }
    }

    /// Reads the text of a key. Each key has exactly one.
    ///
    /// # Errors
    /// [`InvalidToken`], whatever is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let (mode, digits) = [ApiKeyMode::Live, ApiKeyMode::Test]
            .into_iter()
            .find_map(|mode| Some((mode, text.strip_prefix(mode.prefix())?)))
            .ok_or(InvalidToken)?;
        let whole = decode(digits.as_bytes()).ok_or(InvalidToken)?;
        let (body, crc) = whole.split_at(BODY);
        if checksum(mode, body) != crc {
            return Err(InvalidToken);
        }
        let (mut id, mut secret) = ([0; 16], Zeroizing::new([0; 32]));
        id.copy_from_slice(&body[..16]);
        secret.copy_from_slice(&body[16..]);
        Ok(Self {
            mode,
            id: Id::from_bytes(id),
            secret,
        })
    }

    /// The text, for its owner.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut whole = Zeroizing::new([0; WHOLE]);
        whole[..16].copy_from_slice(&self.id.to_bytes());
        whole[16..BODY].copy_from_slice(self.secret.as_slice());
        let crc = checksum(self.mode, &whole[..BODY]);
        whole[BODY..].copy_from_slice(&crc);
        let mut text = Zeroizing::new(String::with_capacity(PREFIX + DIGITS));
        text.push_str(self.mode.prefix());
        let digits = encode(&whole);
        text.extend(digits.iter().copied().map(char::from));
        text
    }

    /// The beginning of the text, by which its owner tells it from others. It holds nothing of the secret.
    #[must_use]
    pub fn shown(&self) -> String {
        self.text()[..SHOWN].to_owned()
    }

    /// SHA-256 of the secret in hex, as stored.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.secret.as_slice()))
    }
}

/// CRC-32 of prefix and body.
fn checksum(mode: ApiKeyMode, body: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(mode.prefix().as_bytes());
    crc.update(body);
    crc.finalize().to_be_bytes()
}

/// The number of these bytes in base62, with leading zeros.
fn encode(whole: &[u8; WHOLE]) -> Zeroizing<[u8; DIGITS]> {
    let mut limbs = Zeroizing::new([0_u32; LIMBS]);
    let (chunks, _) = whole.as_chunks::<4>();
    for (limb, chunk) in limbs.iter_mut().zip(chunks) {
        *limb = u32::from_be_bytes(*chunk);
    }
    let mut digits = Zeroizing::new([0; DIGITS]);
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u64;
        for limb in limbs.iter_mut() {
            let part = (rest << 32) | u64::from(*limb);
            *limb = u32::try_from(part / 62).unwrap_or(u32::MAX);
            rest = part % 62;
        }
        *digit = ALPHABET[usize::try_from(rest).unwrap_or(0)];
    }
    digits
}

/// The bytes of a number in base62; `None` for another length, another alphabet and a number that is too great.
fn decode(digits: &[u8]) -> Option<Zeroizing<[u8; WHOLE]>> {
    if digits.len() != DIGITS {
        return None;
    }
    let mut limbs = Zeroizing::new([0_u32; LIMBS]);
    for digit in digits {
        let mut carry = value_of(*digit)?;
        for limb in limbs.iter_mut().rev() {
            let part = u64::from(*limb) * 62 + carry;
            *limb = u32::try_from(part & 0xffff_ffff).unwrap_or(u32::MAX);
            carry = part >> 32;
        }
        if carry > 0 {
            return None;
        }
    }
    let mut whole = Zeroizing::new([0; WHOLE]);
    let (chunks, _) = whole.as_chunks_mut::<4>();
    for (chunk, limb) in chunks.iter_mut().zip(limbs.iter()) {
        *chunk = limb.to_be_bytes();
    }
    Some(whole)
}

fn value_of(digit: u8) -> Option<u64> {
    let value = match digit {
        b'0'..=b'9' => digit - b'0',
        b'A'..=b'Z' => digit - b'A' + 10,
        b'a'..=b'z' => digit - b'a' + 36,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODES: [ApiKeyMode; 2] = [ApiKeyMode::Live, ApiKeyMode::Test];

    fn key(mode: ApiKeyMode, id: [u8; 16], secret: [u8; 32]) -> ApiKeyToken {
        ApiKeyToken {
            mode,
            id: Id::from_bytes(id),
            secret: Zeroizing::new(secret),
        }
    }

    #[test]
    fn a_key_has_the_text_that_the_documents_show() {
        let live = key(ApiKeyMode::Live, [1; 16], [2; 32]);
        insta::assert_snapshot!(*live.text(), @"pk_live_08h8A1JocA3I99NGvK0YjVwZuIKr8AQpXzyTGlc5mWTA4DsXn9aHjj0KoCwXD5JAlihHEC");
        let test = key(ApiKeyMode::Test, [1; 16], [2; 32]);
        insta::assert_snapshot!(*test.text(), @"pk_test_08h8A1JocA3I99NGvK0YjVwZuIKr8AQpXzyTGlc5mWTA4DsXn9aHjj0KoCwXD5JAigjEFw");
    }

    #[test]
    fn the_least_and_the_greatest_key_have_the_same_width() {
        for byte in [0, 0xff] {
            let text = key(ApiKeyMode::Live, [byte; 16], [byte; 32]).text();
            assert_eq!(text.len(), 78);
            assert!(ApiKeyToken::parse(&text).is_ok());
        }
        let beyond = format!("pk_live_{}", "z".repeat(70));
        assert!(ApiKeyToken::parse(&beyond).is_err());
        assert!(decode(&[b'0'; 70]).is_some_and(|whole| *whole == [0; WHOLE]));
    }

    #[test]
    fn another_alphabet_length_prefix_or_case_is_no_key() {
        let text = ApiKeyToken::mint(ApiKeyMode::Live, Id::from_bytes(clock::random())).text();
        let digits = &text[8..];
        for other in [
            String::new(),
            "pk_live_".to_owned(),
            digits.to_owned(),
            format!("pk_test_{digits}"),
            format!("PK_LIVE_{digits}"),
            format!("pk_live_0{digits}"),
            format!("pk_live_{}", &digits[1..]),
            format!("pk_live_{}", &digits[..69]),
            format!(" {}", *text),
            format!("{}\n", *text),
            format!("pk_live_{}ä", &digits[..68]),
            format!("pk_live_{}-", &digits[..69]),
            format!("pk_live_{digits}{}", "0".repeat(1 << 20)),
        ] {
            assert!(ApiKeyToken::parse(&other).is_err(), "{other:.100}");
        }
        assert!(ApiKeyToken::parse(&text).is_ok());
    }

    #[test]
    fn what_is_shown_tells_keys_of_different_times_apart_and_nothing_of_the_secret() {
        let at = |micros, secret: [u8; 32]| {
            let id = Id::new(crate::model::Timestamp::from_micros(micros), [9; 10]);
            key(ApiKeyMode::Live, id.to_bytes(), secret).shown()
        };
        let now = 1_800_000_000_000_000;
        let (shown, same_id) = (at(now, [1; 32]), at(now, [250; 32]));
        assert_eq!(shown, same_id);
        assert_eq!(shown.len(), 16);
        assert_ne!(shown, at(now + 10_000, [1; 32]), "ten milliseconds later");
    }

    #[test]
    fn a_wrong_character_anywhere_is_noticed() {
        let text = ApiKeyToken::mint(ApiKeyMode::Test, Id::from_bytes(clock::random())).text();
        for place in 0..text.len() {
            for other in ["0", "z", "_", "A", "\u{0}"] {
                let mut forged = (*text).clone();
                forged.replace_range(place..=place, other);
                let parsed = ApiKeyToken::parse(&forged);
                assert!(forged == *text || parsed.is_err(), "{place} {other}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_made_is_read_back(
            live in any::<bool>(), id in any::<[u8; 16]>(), secret in any::<[u8; 32]>(),
        ) {
            let made = key(MODES[usize::from(live)], id, secret);
            let text = made.text();
            let read = ApiKeyToken::parse(&text).expect("is one");
            prop_assert_eq!((read.mode, read.id), (made.mode, made.id));
            prop_assert_eq!(read.hash(), made.hash());
            prop_assert_eq!(&*read.text(), &*text);
        }

        #[test]
        fn every_text_that_is_read_is_the_one_that_would_be_written(text in "pk_(live|test)_[0-9A-Za-z]{68,72}") {
            if let Ok(read) = ApiKeyToken::parse(&text) {
                prop_assert_eq!(&*read.text(), &text);
            }
        }

        #[test]
        fn every_number_that_fits_has_one_spelling(whole in proptest::array::uniform32(any::<u8>())) {
            let mut bytes = [0; WHOLE];
            bytes[..32].copy_from_slice(&whole);
            let digits = encode(&bytes);
            prop_assert_eq!(decode(digits.as_slice()).map(|found| *found), Some(bytes));
        }
    }
}
