//! Opaque tokens: `<kind>_` + base64url of id ‖ generation ‖ 256-bit secret ‖ MAC. Only a hash of the
//! secret is stored, and a forged token is refused before any store is asked.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::mac::hmac;
use super::{InvalidToken, Keys};
use crate::clock;
use crate::model::Id;

/// Bytes of the body: id ‖ generation ‖ secret.
const BODY: usize = 16 + 8 + 32;
/// Bytes of the body and its MAC.
const WHOLE: usize = BODY + 32;
/// Characters of [`WHOLE`] bytes in base64url without padding.
const TEXT: usize = (WHOLE * 4).div_ceil(3);

/// Purpose of a token. A token of one kind never passes as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Renews a session.
    Refresh,
    /// Stands for a login whose second factor is still due.
    Challenge,
    /// Lets a trusted device skip the second factor.
    Device,
}

impl TokenKind {
    const ALL: [Self; 3] = [Self::Refresh, Self::Challenge, Self::Device];

    /// Prefix of its tokens; also binds MAC and key to the kind.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => "refresh_",
            Self::Challenge => "temp_",
            Self::Device => "device_",
        }
    }
}

/// The content of a token whose MAC was verified, or that was just minted.
#[derive(Clone)]
pub struct Opened {
    /// The record that it belongs to.
    pub id: Id,
    /// Its number in a rotating family, from 1.
    pub generation: i64,
    /// Its 256-bit secret.
    pub secret: Zeroizing<[u8; 32]>,
}

impl Opened {
    /// SHA-256 of the secret in hex, as stored.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.secret.as_slice()))
    }
}

/// Mints and opens opaque tokens.
pub struct OpaqueTokens {
    keys: HashMap<TokenKind, Zeroizing<[u8; 32]>>,
}

impl OpaqueTokens {
    /// Derives the MAC keys from the master secret, one for each kind.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        let derive = |kind: TokenKind| {
            let purpose = format!("opaque token {}", kind.prefix());
            (kind, keys.derive(&purpose))
        };
        Self {
            keys: TokenKind::ALL.into_iter().map(derive).collect(),
        }
    }

    /// A token with a fresh secret.
    #[must_use]
    pub fn mint(&self, _kind: TokenKind, id: Id, generation: i64) -> Opened {
        Opened {
            id,
            generation,
            secret: Zeroizing::new(clock::random()),
        }
    }

    /// The text of a token, for its owner.
    #[must_use]
    pub fn encode(&self, kind: TokenKind, token: &Opened) -> String {
        let mut whole = Zeroizing::new([0; WHOLE]);
        whole[..16].copy_from_slice(&token.id.to_bytes());
        whole[16..24].copy_from_slice(&token.generation.to_be_bytes());
        whole[24..BODY].copy_from_slice(token.secret.as_slice());
        let mac = self.mac(kind, &whole[..BODY]).finalize().into_bytes();
        whole[BODY..].copy_from_slice(&mac);
        let mut text = String::with_capacity(kind.prefix().len() + TEXT);
        text.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(whole.as_slice(), &mut text);
        text
    }

    /// Checks form and MAC.
    ///
    /// # Errors
    /// [`InvalidToken`], whatever is wrong with it.
    pub fn open(&self, kind: TokenKind, text: &str) -> Result<Opened, InvalidToken> {
        let encoded = text.strip_prefix(kind.prefix()).ok_or(InvalidToken)?;
        if encoded.len() != TEXT {
            return Err(InvalidToken);
        }
        let mut whole = Zeroizing::new([0; WHOLE]);
        let decoded = URL_SAFE_NO_PAD.decode_slice(encoded, whole.as_mut_slice());
        if decoded != Ok(WHOLE) {
            return Err(InvalidToken);
        }
        let (body, mac) = whole.split_at(BODY);
        self.mac(kind, body)
            .verify_slice(mac)
            .map_err(|_| InvalidToken)?;
        Ok(parse(body))
    }

    /// Masks `next`'s secret with a pad that only the holder of `before` can make (hex).
    ///
    /// The store keeps this for as long as `before` may still be presented (the grace of parallel tabs), so that `next`
    /// can be returned again without being stored. Each secret makes one pad for one successor, so the pad is used once.
    #[must_use]
    pub fn wrap(&self, before: &Opened, next: &Opened) -> String {
        hex::encode(masked(before, next.generation, &next.secret))
    }

    /// Undoes [`OpaqueTokens::wrap`]: the token after `before`.
    ///
    /// # Errors
    /// [`InvalidToken`] when `wrapped` is not 32 bytes in hex.
    pub fn unwrap(&self, before: &Opened, wrapped: &str) -> Result<Opened, InvalidToken> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(wrapped, bytes.as_mut_slice()).map_err(|_| InvalidToken)?;
        let generation = before.generation.checked_add(1).ok_or(InvalidToken)?;
        Ok(Opened {
            id: before.id,
            generation,
            secret: masked(before, generation, &bytes),
        })
    }

    /// The MAC of a body, keyed and labelled by kind.
    fn mac(&self, kind: TokenKind, body: &[u8]) -> Hmac<Sha256> {
        hmac(&self.keys[&kind])
            .chain_update(kind.prefix())
            .chain_update(body)
    }
}

fn parse(body: &[u8]) -> Opened {
    let (mut id, mut generation) = ([0; 16], [0; 8]);
    let mut secret = Zeroizing::new([0; 32]);
    id.copy_from_slice(&body[..16]);
    generation.copy_from_slice(&body[16..24]);
    secret.copy_from_slice(&body[24..]);
    Opened {
        id: Id::from_bytes(id),
        generation: i64::from_be_bytes(generation),
        secret,
    }
}

fn masked(before: &Opened, generation: i64, secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut pad = hmac(&before.secret)
        .chain_update(b"successor")
        .chain_update(before.id.to_bytes())
        .chain_update(generation.to_be_bytes())
        .finalize()
        .into_bytes();
    let mut masked = Zeroizing::new(*secret);
    for (byte, pad) in masked.iter_mut().zip(&pad) {
        *byte ^= pad;
    }
    pad.as_mut_slice().zeroize();
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys;
    use crate::model::Timestamp;

    fn tokens() -> OpaqueTokens {
        OpaqueTokens::new(&keys::for_tests(Timestamp::from_micros(0)))
    }

    fn id() -> Id {
        Id::from_bytes(clock::random())
    }

    #[test]
    fn what_was_minted_opens_to_the_same() {
        let tokens = tokens();
        for generation in [1, 2, i64::MAX] {
            let minted = tokens.mint(TokenKind::Refresh, id(), generation);
            let text = tokens.encode(TokenKind::Refresh, &minted);
            assert!(text.starts_with("refresh_"), "{text}");
            assert_eq!(text.len(), 8 + 118);
            let opened = tokens.open(TokenKind::Refresh, &text).expect("opens");
            assert_eq!(opened.id, minted.id);
            assert_eq!(opened.generation, generation);
            assert_eq!(opened.secret, minted.secret);
            assert_eq!(opened.hash(), minted.hash());
        }
    }

    #[test]
    fn a_change_of_any_character_is_noticed() {
        let tokens = tokens();
        let minted = tokens.mint(TokenKind::Refresh, id(), 1);
        let text = tokens.encode(TokenKind::Refresh, &minted);
        for place in 0..text.len() {
            for other in ["A", "_", "Z", "9", "=", "\u{0}"] {
                let mut forged = text.clone();
                forged.replace_range(place..=place, other);
                let opened = tokens.open(TokenKind::Refresh, &forged);
                assert!(forged == text || opened.is_err(), "{place} {other}");
            }
        }
    }

    #[test]
    fn tokens_of_others_and_of_another_length_are_refused() {
        let (ours, theirs) = (tokens(), tokens());
        let minted = theirs.mint(TokenKind::Refresh, id(), 1);
        let text = theirs.encode(TokenKind::Refresh, &minted);
        assert!(ours.open(TokenKind::Refresh, &text).is_err());
        let long = text.clone() + "A";
        let padded = text.clone() + "==";
        let endless = "refresh_".to_owned() + &"A".repeat(1 << 20);
        for bad in [
            "",
            "refresh_",
            &text[..125],
            &text[8..],
            &long,
            &padded,
            &endless,
            "refresh_ä",
        ] {
            assert!(theirs.open(TokenKind::Refresh, bad).is_err());
        }
        assert!(theirs.open(TokenKind::Refresh, &text).is_ok());
    }

    #[test]
    fn a_token_of_one_kind_never_passes_as_another() {
        let tokens = tokens();
        for kind in TokenKind::ALL {
            let text = tokens.encode(kind, &tokens.mint(kind, id(), 1));
            let body = text.strip_prefix(kind.prefix()).expect("its own prefix");
            assert!(tokens.open(kind, &text).is_ok());
            for other in TokenKind::ALL.into_iter().filter(|other| *other != kind) {
                assert!(tokens.open(other, &text).is_err(), "{kind:?} as {other:?}");
                let renamed = format!("{}{body}", other.prefix());
                assert!(tokens.open(other, &renamed).is_err(), "{renamed}");
            }
        }
    }

    #[test]
    fn a_successor_is_readable_with_its_predecessor_alone() {
        let tokens = tokens();
        let before = tokens.mint(TokenKind::Refresh, id(), 7);
        let next = tokens.mint(TokenKind::Refresh, before.id, 8);
        let wrapped = tokens.wrap(&before, &next);
        assert_ne!(wrapped, hex::encode(*next.secret));
        let found = tokens.unwrap(&before, &wrapped).expect("unwraps");
        assert_eq!((found.id, found.generation), (next.id, 8));
        assert_eq!(found.secret, next.secret);

        let stranger = tokens.mint(TokenKind::Refresh, before.id, 7);
        let wrong = tokens.unwrap(&stranger, &wrapped).expect("is 32 bytes");
        assert_ne!(wrong.secret, next.secret);
        assert!(tokens.unwrap(&before, "zz").is_err());
        assert!(tokens.unwrap(&before, &wrapped[2..]).is_err());
    }
}
