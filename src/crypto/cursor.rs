//! Cursors of lists: where the next page begins, under a MAC that binds it to the list. A client can neither make one
//! up nor use it for another list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use zeroize::Zeroizing;

use super::mac::hmac;
use super::{InvalidToken, Keys};

/// Bytes of a MAC.
const MAC: usize = 16;

/// Seals and opens cursors.
pub struct Cursors {
    key: Zeroizing<[u8; 32]>,
}

impl Cursors {
    /// Derives the MAC key from the master secret.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self {
            key: keys.derive("cursor"),
        }
    }

    /// The text of a place in the list that `list` describes.
    #[must_use]
    pub fn seal(&self, start: [u8; 17], list: &[u8]) -> String {
        let mut whole = start.to_vec();
        whole.extend_from_slice(&self.mac(&start, list));
        URL_SAFE_NO_PAD.encode(whole)
    }

    /// The place of a cursor of that list.
    ///
    /// # Errors
    /// [`InvalidToken`], whatever is wrong with it.
    pub fn open(&self, text: &str, list: &[u8]) -> Result<[u8; 17], InvalidToken> {
        let whole = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken)?;
        let (start, mac) = whole.split_first_chunk::<17>().ok_or(InvalidToken)?;
        let known = hmac(&self.key).chain_update(start).chain_update(list);
        if mac.len() != MAC || known.verify_truncated_left(mac).is_err() {
            return Err(InvalidToken);
        }
        Ok(*start)
    }

    fn mac(&self, start: &[u8; 17], list: &[u8]) -> [u8; MAC] {
        let whole = hmac(&self.key).chain_update(start).chain_update(list);
        let whole = whole.finalize().into_bytes();
        let mut mac = [0; MAC];
        mac.copy_from_slice(&whole[..MAC]);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::for_tests;
    use crate::model::Timestamp;

    #[test]
    fn a_cursor_opens_for_its_own_list_alone_and_not_when_it_was_changed() {
        let cursors = Cursors::new(&for_tests(Timestamp::from_micros(0)));
        let text = cursors.seal([7; 17], b"list");
        assert_eq!(cursors.open(&text, b"list"), Ok([7; 17]));
        assert_eq!(cursors.open(&text, b"other"), Err(InvalidToken));
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("text");
            assert_eq!(
                cursors.open(&changed, b"list"),
                Err(InvalidToken),
                "{index}"
            );
        }
        for wrong in ["", "A", &text[1..], &text[..text.len() - 1]] {
            assert_eq!(cursors.open(wrong, b"list"), Err(InvalidToken), "{wrong}");
        }
        let others = Cursors::new(&for_tests(Timestamp::from_micros(0)));
        assert_eq!(others.open(&text, b"list"), Err(InvalidToken));
    }
}
