//! HMAC-SHA-256 (RFC 2104) under a derived key: the only keyed hash of this module.

use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use zeroize::Zeroizing;

/// HMAC fills a short key up with zeros to its block (RFC 2104), so this is HMAC of the 32 bytes.
pub(super) fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    Hmac::new((&*block).into())
}

#[cfg(test)]
mod tests {
    use hmac::Mac;

    use super::*;

    /// RFC 4231, test case 1 (a key of 20 bytes, so filled up to our 32 with zeros, which changes nothing).
    #[test]
    fn hmac_is_hmac() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let mac = hmac(&key).chain_update(b"Hi There").finalize().into_bytes();
        assert_eq!(
            hex::encode(mac),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }
}
