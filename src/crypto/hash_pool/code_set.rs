//! Backup codes: a set shares one salt, so that an attempt costs one hash and not one for each code.
//!
//! A set is stored as a PHC string up to its salt, and a tag for each code: prefix, `$` and tag are the PHC string
//! of that code, which any Argon2 verifies.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::engine::Engine;
use super::hash_parameters::{self, HashParameters, SALT_LENGTH, TAG_LENGTH};
use super::{HashError, HashPermit, failed};
use crate::clock;
use crate::model::BackupCode;

/// Number of codes in a set.
const CODES: usize = 10;

/// A set of backup codes, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeSet {
    /// Parameters and salt of every attempt: `$argon2id$v=19$m=…,t=…,p=…$salt`.
    pub phc_prefix: String,
    /// Tags of the codes, in their order: base64 without padding.
    pub tags: Vec<String>,
}

/// Draws ten codes, no two alike.
#[must_use]
pub fn draw_backup_codes() -> Vec<BackupCode> {
    let mut drawn = HashSet::with_capacity(CODES);
    while drawn.len() < CODES {
        drawn.insert(clock::random());
    }
    drawn.into_iter().map(BackupCode::from_random).collect()
}

impl HashPermit {
    /// Hashes a set of codes under one fresh salt, one after the other: a set takes one permit in the queue, as a
    /// password does, and other jobs are served in between.
    ///
    /// # Errors
    /// As [`HashPermit::hash`].
    pub async fn hash_codes(&mut self, codes: Vec<BackupCode>) -> Result<CodeSet, HashError> {
        let salt: [u8; SALT_LENGTH] = clock::random();
        let today = self.pool.today;
        let mut tags = Vec::with_capacity(codes.len());
        for code in codes {
            tags.push(self.tag(code, today, salt).await?);
        }
        Ok(CodeSet {
            phc_prefix: today.write_untagged(&salt),
            tags,
        })
    }

    /// The tag that `code` has under a set's parameters and salt, to be searched among the set's tags.
    ///
    /// # Errors
    /// As [`HashPermit::hash`], and [`HashError::Unusable`] when the prefix is malformed or costlier than allowed.
    pub async fn tag_code(
        &mut self,
        code: BackupCode,
        phc_prefix: &str,
    ) -> Result<String, HashError> {
        let parsed = hash_parameters::parse_untagged(phc_prefix, &self.pool.bounds);
        let (parameters, salt) = parsed.ok_or(HashError::Unusable)?;
        self.tag(code, parameters, salt).await
    }

    async fn tag<S>(
        &mut self,
        code: BackupCode,
        parameters: HashParameters,
        salt: S,
    ) -> Result<String, HashError>
    where
        S: AsRef<[u8]> + Send + 'static,
    {
        self.submit(move |engine| tag(engine, &parameters, &code, salt.as_ref()))
            .await
    }
}

fn tag(
    engine: &mut Engine,
    parameters: &HashParameters,
    code: &BackupCode,
    salt: &[u8],
) -> Result<String, HashError> {
    let mut tag = Zeroizing::new([0; TAG_LENGTH]);
    engine
        .compute(parameters, code.bytes(), salt, &mut *tag)
        .map_err(|error| failed(&error))?;
    Ok(hash_parameters::write_tag(&*tag))
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordVerifier};

    use super::super::HashPool;
    use super::*;
    use crate::config::{self, HashEngine};

    fn cheap() -> config::Hashing {
        config::Hashing {
            memory_kib: 64,
            iterations: 1,
            parallelism: 1,
            threads: 2,
            ..config::Hashing::default()
        }
    }

    fn pool(settings: &config::Hashing) -> HashPool {
        HashPool::start(settings).expect("starts")
    }

    fn permit(pool: &HashPool) -> HashPermit {
        pool.own_permit().expect("there is room")
    }

    #[test]
    fn ten_different_codes_are_drawn_each_time() {
        let drawn: HashSet<_> = (0..20)
            .flat_map(|_| draw_backup_codes())
            .map(|code| code.shown().to_string())
            .collect();
        assert_eq!(draw_backup_codes().len(), 10);
        assert_eq!(drawn.len(), 200);
    }

    #[tokio::test]
    async fn a_code_has_its_tag_in_its_own_set_alone() {
        for engine in [HashEngine::Auto, HashEngine::Reference] {
            let pool = pool(&config::Hashing { engine, ..cheap() });
            let codes = draw_backup_codes();
            let set = permit(&pool)
                .hash_codes(codes.clone())
                .await
                .expect("hashes");
            let other = permit(&pool)
                .hash_codes(codes.clone())
                .await
                .expect("hashes");
            assert!(set.phc_prefix.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
            assert_ne!(set.phc_prefix, other.phc_prefix, "a salt of its own");
            assert_eq!(set.tags.len(), 10);
            for (index, code) in codes.into_iter().enumerate() {
                let typed = BackupCode::parse(&code.shown().to_lowercase()).expect("a code");
                let tag = permit(&pool)
                    .tag_code(typed, &set.phc_prefix)
                    .await
                    .expect("hashes");
                let found = set.tags.iter().position(|stored| *stored == tag);
                assert_eq!(found, Some(index));
                assert!(!other.tags.contains(&tag));
            }
            let unknown = BackupCode::from_random(clock::random());
            let mut permit = permit(&pool);
            let wrong = permit.tag_code(unknown, &set.phc_prefix);
            assert!(!set.tags.contains(&wrong.await.expect("hashes")));
        }
    }

    /// The argon2 crate alone, from the text that is stored to its verdict, at the parameters of the product.
    #[tokio::test]
    async fn any_argon2_verifies_what_is_stored() {
        let pool = pool(&config::Hashing {
            threads: 2,
            ..config::Hashing::default()
        });
        let codes = draw_backup_codes();
        let set = permit(&pool)
            .hash_codes(codes[..2].to_vec())
            .await
            .expect("hashes");
        let stored = format!("{}${}", set.phc_prefix, set.tags[1]);
        let stored = argon2::PasswordHash::new(&stored).expect("a PHC string");
        let verdict = |code: &BackupCode| {
            Argon2::default().verify_password(code.shown().replace('-', "").as_bytes(), &stored)
        };
        assert!(verdict(&codes[1]).is_ok());
        assert!(verdict(&codes[0]).is_err());
    }

    #[tokio::test]
    async fn a_set_keeps_its_parameters_when_those_of_the_day_change() {
        let code = BackupCode::from_random([1, 2, 3, 4, 5]);
        let set = permit(&pool(&cheap())).hash_codes(vec![code.clone()]).await;
        let set = set.expect("hashes");
        let later = pool(&config::Hashing {
            memory_kib: 128,
            iterations: 2,
            ..cheap()
        });
        assert_eq!(
            permit(&later).tag_code(code, &set.phc_prefix).await,
            Ok(set.tags[0].clone())
        );
    }

    #[tokio::test]
    async fn parameters_that_are_too_costly_or_none_at_all_are_refused() {
        let pool = pool(&config::Hashing {
            max_memory_kib: 128,
            ..cheap()
        });
        let code = BackupCode::from_random([0; 5]);
        let set = permit(&pool)
            .hash_codes(vec![code.clone()])
            .await
            .expect("hashes");
        let whole = format!("{}${}", set.phc_prefix, set.tags[0]);
        for parameters in [
            "",
            "nonsense",
            "$argon2id$v=19$m=129,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw",
            "$argon2id$v=19$m=4294967295,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw",
            "$argon2id$v=19$m=64,t=1,p=1",
            "$2a$04$UuTkLRZZ6QofpDOlMz32MuuxEHA43WOemOYHPz6.SjsVsyO1tDU96",
            &whole,
        ] {
            let tagged = permit(&pool).tag_code(code.clone(), parameters).await;
            assert_eq!(tagged, Err(HashError::Unusable), "{parameters}");
        }
    }

    #[tokio::test]
    async fn a_set_is_hashed_even_where_one_job_may_wait() {
        let pool = pool(&config::Hashing {
            queue: 1,
            threads: 1,
            ..cheap()
        });
        let set = permit(&pool)
            .hash_codes(draw_backup_codes())
            .await
            .expect("hashes");
        assert_eq!(set.tags.len(), 10);
        assert_eq!(pool.state().waiting, 0);
    }

    #[tokio::test]
    async fn a_set_that_cannot_be_hashed_in_time_is_refused() {
        let pool = pool(&config::Hashing {
            deadline: std::time::Duration::from_nanos(1),
            ..cheap()
        });
        let set = permit(&pool).hash_codes(draw_backup_codes()).await;
        assert!(matches!(set, Err(HashError::Overloaded { .. })), "{set:?}");
    }
}
