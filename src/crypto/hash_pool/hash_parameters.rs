//! Parameters of stored hashes: PHC strings (Argon2) and modular-crypt strings (bcrypt), and the bounds of their
//! cost. Everything is bounded here, before anything is allocated or computed.

use argon2::password_hash::phc::{self, PasswordHash};
use argon2::{Algorithm, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::config;

/// Bytes of a salt that we draw (RFC 9106, section 3.1).
pub(super) const SALT_LENGTH: usize = 16;
/// Bytes of a tag that we store.
pub(super) const TAG_LENGTH: usize = 32;
/// Bytes of the longest tag that we verify; what [`phc::Output`] holds.
pub(super) const MAX_TAG_LENGTH: usize = phc::Output::MAX_LENGTH;
/// Bytes of the shortest tag: 128 bits, since shorter ones are guessable.
const MIN_TAG_LENGTH: usize = 16;
/// Bytes of the longest string that can be a hash.
const MAX_STORED_LENGTH: usize = 512;

/// Parameters of Argon2: all inputs of a tag besides password and salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HashParameters {
    /// Argon2id, Argon2i or Argon2d.
    pub(super) algorithm: Algorithm,
    /// 0x10 or 0x13.
    pub(super) version: Version,
    /// m
    pub(super) memory_kib: u32,
    /// t
    pub(super) iterations: u32,
    /// p
    pub(super) parallelism: u32,
    /// Bytes of the tag.
    pub(super) tag_length: usize,
}

impl HashParameters {
    /// The configured parameters of new hashes.
    pub(super) fn configured(settings: &config::Hashing) -> Self {
        Self {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            memory_kib: settings.memory_kib,
            iterations: settings.iterations,
            parallelism: settings.parallelism,
            tag_length: TAG_LENGTH,
        }
    }

    /// Writes the PHC string.
    pub(super) fn write(&self, salt: &[u8], tag: &[u8]) -> String {
        format!("{}${}", self.write_untagged(salt), write_tag(tag))
    }

    /// Writes the PHC string up to its salt.
    pub(super) fn write_untagged(&self, salt: &[u8]) -> String {
        format!(
            "${}$v={}$m={},t={},p={}${}",
            self.algorithm,
            u32::from(self.version),
            self.memory_kib,
            self.iterations,
            self.parallelism,
            STANDARD_NO_PAD.encode(salt),
        )
    }

    /// Approximate cost of a hash: KiB that are filled altogether.
    pub(super) fn cost_kib(&self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.iterations)
    }
}

/// Writes a tag as PHC strings do.
pub(super) fn write_tag(tag: &[u8]) -> String {
    STANDARD_NO_PAD.encode(tag)
}

/// Bounds of the cost of a stored hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
    bcrypt_cost: u32,
}

impl Bounds {
    /// The configured bounds.
    pub(super) fn new(settings: &config::Hashing) -> Self {
        Self {
            memory_kib: settings.max_memory_kib,
            iterations: settings.max_iterations,
            parallelism: settings.max_parallelism,
            bcrypt_cost: settings.max_bcrypt_cost,
        }
    }

    /// Whether `parameters` are within Argon2's range and ours.
    pub(super) fn allow(&self, parameters: &HashParameters) -> bool {
        (1..=self.parallelism).contains(&parameters.parallelism)
            && (1..=self.iterations).contains(&parameters.iterations)
            && parameters.memory_kib <= self.memory_kib
            && u64::from(parameters.memory_kib) >= 8 * u64::from(parameters.parallelism)
            && (MIN_TAG_LENGTH..=MAX_TAG_LENGTH).contains(&parameters.tag_length)
    }
}

/// A stored hash that may be verified.
pub(super) enum StoredHash {
    /// Argon2 in any of its variants.
    Argon2 {
        /// Its parameters.
        parameters: HashParameters,
        /// Its salt, 8 to 48 bytes.
        salt: phc::Salt,
        /// Its tag.
        tag: phc::Output,
    },
    /// bcrypt, in the form `$2b$cost$…`.
    Bcrypt(String),
}

impl StoredHash {
    /// Reads a stored hash; `None` when it is malformed or costlier than `bounds` allow.
    pub(super) fn parse(text: &str, bounds: &Bounds) -> Option<Self> {
        if text.len() > MAX_STORED_LENGTH {
            return None;
        }
        if text.starts_with("$argon2") {
            parse_argon2(text, bounds)
        } else {
            parse_bcrypt(text, bounds)
        }
    }
}

/// Reads parameters and salt, for tags of [`TAG_LENGTH`] that are stored elsewhere; `None` when the text is malformed,
/// has a tag or is costlier than `bounds` allow.
pub(super) fn parse_untagged(text: &str, bounds: &Bounds) -> Option<(HashParameters, phc::Salt)> {
    if text.len() > MAX_STORED_LENGTH || !text.starts_with("$argon2") {
        return None;
    }
    let hash = PasswordHash::new(text).ok()?;
    if hash.hash.is_some() {
        return None;
    }
    let parameters = parameters_of(&hash, TAG_LENGTH, bounds)?;
    Some((parameters, hash.salt?))
}

fn parse_argon2(text: &str, bounds: &Bounds) -> Option<StoredHash> {
    let hash = PasswordHash::new(text).ok()?;
    let (salt, tag) = (hash.salt?, hash.hash?);
    let parameters = parameters_of(&hash, tag.len(), bounds)?;
    Some(StoredHash::Argon2 {
        parameters,
        salt,
        tag,
    })
}

fn parameters_of(
    hash: &PasswordHash,
    tag_length: usize,
    bounds: &Bounds,
) -> Option<HashParameters> {
    // keyid and data never left the drafts: three parameters, no more.
    if hash.params.iter().count() != 3 {
        return None;
    }
    let parameters = HashParameters {
        algorithm: Algorithm::new(hash.algorithm).ok()?,
        // Without a version it is 0x10, which did not write one.
        version: Version::try_from(hash.version.unwrap_or(0x10)).ok()?,
        memory_kib: hash.params.get_decimal("m")?,
        iterations: hash.params.get_decimal("t")?,
        parallelism: hash.params.get_decimal("p")?,
        tag_length,
    };
    bounds.allow(&parameters).then_some(parameters)
}

/// `$2x$` marks hashes of a broken implementation, which no correct one can verify.
fn parse_bcrypt(text: &str, bounds: &Bounds) -> Option<StoredHash> {
    let known = ["$2a$", "$2b$", "$2y$"];
    if !known.iter().any(|prefix| text.starts_with(prefix)) {
        return None;
    }
    let parts: bcrypt::HashParts = text.parse().ok()?;
    (4..=bounds.bcrypt_cost)
        .contains(&parts.get_cost())
        .then(|| StoredHash::Bcrypt(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        Bounds::new(&config::Hashing::default())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let parameters = HashParameters::configured(&config::Hashing::default());
        let text = parameters.write(&[7; SALT_LENGTH], &[9; TAG_LENGTH]);
        assert_eq!(
            text,
            "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"
        );
        let Some(StoredHash::Argon2 {
            parameters: read,
            salt,
            tag,
        }) = StoredHash::parse(&text, &bounds())
        else {
            panic!("our own string must be readable");
        };
        assert_eq!(read, parameters);
        assert_eq!(salt.as_ref(), [7; SALT_LENGTH]);
        assert_eq!(tag.as_bytes(), [9; TAG_LENGTH]);
    }

    #[test]
    fn parameters_without_a_tag_are_read_again() {
        let parameters = HashParameters::configured(&config::Hashing::default());
        let text = parameters.write_untagged(&[7; SALT_LENGTH]);
        let (read, salt) = parse_untagged(&text, &bounds()).expect("our own string");
        assert_eq!(
            (read, salt.as_ref()),
            (parameters, [7; SALT_LENGTH].as_slice())
        );
    }

    #[test]
    fn hostile_and_malformed_hashes_are_refused() {
        let tail = "$BwcHBwcHBwcHBwcHBwcHBw$CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk";
        let heads = [
            "$argon2id$v=19$m=4294967295,t=2,p=1",
            "$argon2id$v=19$m=262145,t=2,p=1",
            "$argon2id$v=19$m=4294967296,t=2,p=1",
            "$argon2id$v=19$m=19456,t=4294967295,p=1",
            "$argon2id$v=19$m=19456,t=17,p=1",
            "$argon2id$v=19$m=19456,t=0,p=1",
            "$argon2id$v=19$m=19456,t=2,p=0",
            "$argon2id$v=19$m=19456,t=2,p=17",
            "$argon2id$v=19$m=19456,t=2,p=16777216",
            "$argon2id$v=19$m=15,t=2,p=2",
            "$argon2id$v=19$m=19456,t=2",
            "$argon2id$v=19$m=19456,m=8,t=2",
            "$argon2id$v=19$m=19456,t=2,p=1,keyid=AAAA",
            "$argon2id$v=20$m=19456,t=2,p=1",
            "$argon2id$v=19$m=-1,t=2,p=1",
            "$argon2x$v=19$m=19456,t=2,p=1",
            "$argon2$v=19$m=19456,t=2,p=1",
            "$scrypt$ln=15,r=8,p=1",
            "",
        ];
        for head in heads {
            let text = format!("{head}{tail}");
            assert!(StoredHash::parse(&text, &bounds()).is_none(), "{text}");
        }
        let tails = [
            "",
            "$BwcHBwcHBwcHBwcHBwcHBw",
            "$BwcHBwcHBwcHBwcHBwcHBw$CQkJCQ",
            "$$",
        ];
        for tail in tails {
            let text = format!("$argon2id$v=19$m=19456,t=2,p=1{tail}");
            assert!(StoredHash::parse(&text, &bounds()).is_none(), "{text}");
        }
        // A text without a tag is refused for the same reasons.
        for head in heads {
            let text = format!("{head}$BwcHBwcHBwcHBwcHBwcHBw");
            assert!(parse_untagged(&text, &bounds()).is_none(), "{text}");
        }
        for tail in ["", "$", "$BwcH", tail] {
            let text = format!("$argon2id$v=19$m=19456,t=2,p=1{tail}");
            assert!(parse_untagged(&text, &bounds()).is_none(), "{text}");
        }
        let endless = format!("$argon2id$v=19$m=19456,t=2,p=1{tail}{}", "A".repeat(4096));
        assert!(parse_untagged(&endless, &bounds()).is_none());
        assert!(StoredHash::parse(&endless, &bounds()).is_none());
    }

    #[test]
    fn bcrypt_is_bounded_too() {
        let tail = "$n4Uy0eSnMfvnESYL.bLwuuj0U/ETSsoTpRT9GVk5bektyVVa5xnIi";
        for (head, allowed) in [
            ("$2a$04", true),
            ("$2b$14", true),
            ("$2y$10", true),
            ("$2b$15", false),
            ("$2b$31", false),
            ("$2b$03", false),
            ("$2x$10", false),
            ("$2$10", false),
        ] {
            let text = format!("{head}{tail}");
            assert_eq!(
                StoredHash::parse(&text, &bounds()).is_some(),
                allowed,
                "{text}"
            );
        }
        assert!(StoredHash::parse("$2b$10$äääääääääääääääääääääääääää", &bounds()).is_none());
    }
}
