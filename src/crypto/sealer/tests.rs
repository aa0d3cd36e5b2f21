//! Opening and refusal of sealed texts, by context and key.

use super::*;
use crate::crypto::keys::{for_tests, of_version_1};

const START: Timestamp = Timestamp::from_micros(0);
const LATER: Timestamp = Timestamp::from_micros(3_600_000_000);
const LATEST: Timestamp = Timestamp::from_micros(7_200_000_000);

fn context() -> SealContext {
    SealContext {
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
        let text = sealer.seal(context(), secret, START).expect("seals");
        assert_eq!(
            sealer.open(context(), &text).expect("opens").as_slice(),
            secret
        );
        let row = Id::from_bytes(clock::random());
        for elsewhere in [
            SealContext { row, ..context() },
            SealContext {
                column: "secret2",
                ..context()
            },
            SealContext {
                table: "webhooks",
                ..context()
            },
            SealContext {
                table: "two_factor_method",
                column: "ssecret",
                ..context()
            },
        ] {
            assert!(sealer.open(elsewhere, &text).is_err(), "{elsewhere:?}");
        }
        assert!(fresh().open(context(), &text).is_err());
    }
}

#[test]
fn equal_secrets_look_different_and_every_change_is_noticed() {
    let sealer = fresh();
    let text = sealer.seal(context(), b"secret", START).expect("seals");
    assert_ne!(
        text,
        sealer.seal(context(), b"secret", START).expect("seals")
    );
    for index in 0..text.len() {
        let mut forged = text.clone();
        let other = if &text[index..=index] == "Q" {
            "R"
        } else {
            "Q"
        };
        forged.replace_range(index..=index, other);
        assert!(sealer.open(context(), &forged).is_err(), "{index}");
    }
    for bad in ["", "s1.", "s1.AAAA", "s2.AAAA", &text[3..]] {
        assert!(sealer.open(context(), bad).is_err(), "{bad}");
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
        let text = sealer.seal(context(), b"secret", now).expect("seals");
        assert!(text.starts_with(&format!("s{version}.")), "{text}");
        assert_eq!(sealer.current(now), version);
        assert_eq!(sealer.version_of(&text), Some(version));
        texts.push(text);
    }
    let old = Sealer::new(&before);
    for text in &texts {
        let opened = sealer.open(context(), text).expect("opens");
        assert_eq!(opened.as_slice(), b"secret");
        let known = text.starts_with("s1.");
        assert_eq!(old.version_of(text).is_some(), known, "{text}");
        assert_eq!(old.open(context(), text).is_ok(), known, "{text}");
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
    let text = sealer.seal(context(), b"secret", START).expect("seals");
    assert!(sealer.open(context(), &text).is_ok());
    assert!(sealer.open(context(), &text.replace("s1.", "s2.")).is_err());
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

/// A text sealed by a build without versions of keys, with a key file of that time.
#[test]
fn what_was_sealed_before_keys_had_versions_still_opens() {
    let sealer = Sealer::new(&of_version_1([7; 32]));
    let text = "s1.6y33fsRuCp-70frzamMUHYqsz8neo-xpzj1Lva2cpukVBycCUKrbbNCTqR0kKNot65ZlVzbGjQ8";
    assert_eq!(
        sealer.open(context(), text).expect("opens").as_slice(),
        b"JBSWY3DPEHPK3PXP"
    );
    assert_eq!(sealer.version_of(text), Some(1));
}

/// Vector of draft-irtf-cfrg-xchacha, A.3.1: the cipher is the one that others implement.
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
    assert!(sealed.starts_with("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"));
    assert!(sealed.ends_with("c0875924c1c7987947deafd8780acf49"));
}
