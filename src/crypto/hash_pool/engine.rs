//! Two implementations of Argon2 behind one method: the SIMD engine, and the crate that it is checked
//! against. Each keeps its memory between hashes and wipes it after every one.

use std::time::Duration;

use argon2::Block;
use argon2_rust::params::{Memory, TagLen};
use zeroize::{Zeroize, Zeroizing};

use super::recipe::{MAX_TAG_LENGTH, Recipe, SALT_LENGTH};
use crate::clock::Stopwatch;

/// Above this (KiB filled) the reference is too slow to be asked at a start.
const MAX_REFERENCE_COST_KIB: u64 = 256 * 1024;

/// Which implementation computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The argon2-rust crate: SIMD chosen at run time.
    Simd,
    /// The argon2 crate.
    Reference,
}

impl Kind {
    /// For logs and metric labels.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Simd => "argon2-rust",
            Self::Reference => "argon2",
        }
    }

    /// The instructions that it chose for this processor; empty where it does not tell.
    pub(super) fn simd(self) -> &'static str {
        match self {
            Self::Simd => argon2_rust::detected_backend().name(),
            Self::Reference => "",
        }
    }
}

/// The parameters are out of range, or there is no memory for them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Argon2: {0}")]
pub(super) struct EngineError(String);

/// One worker's Argon2, with its memory.
pub(super) struct Engine {
    home: Recipe,
    arena: Arena,
}

enum Arena {
    Simd(argon2_rust::Hasher),
    Reference(Vec<Block>),
}

impl Engine {
    /// An engine with memory reserved for `home`, the recipe that it will mostly compute.
    pub(super) fn new(kind: Kind, home: Recipe) -> Result<Self, EngineError> {
        let arena = match kind {
            Kind::Simd => {
                let mut hasher = simd(&home)?.hasher();
                hasher.reserve().map_err(refused)?;
                Arena::Simd(hasher)
            }
            Kind::Reference => Arena::Reference(vec![Block::new(); blocks(&home)?]),
        };
        Ok(Self { home, arena })
    }

    /// Computes the tag that fills `tag`, whose length must be the recipe's.
    pub(super) fn compute(
        &mut self,
        recipe: &Recipe,
        password: &[u8],
        salt: &[u8],
        tag: &mut [u8],
    ) -> Result<(), EngineError> {
        let outcome = match &mut self.arena {
            Arena::Simd(hasher) => {
                hasher.set_argon2(simd(recipe)?);
                hasher.hash_into(password, salt, tag).map_err(refused)
            }
            Arena::Reference(memory) => reference(memory, recipe, password, salt, tag),
        };
        if recipe.memory_kib > self.home.memory_kib {
            self.give_back()?;
        }
        outcome
    }

    /// Releases memory that only a costlier stored hash needed, so that one import does not stay forever.
    fn give_back(&mut self) -> Result<(), EngineError> {
        match &mut self.arena {
            Arena::Simd(hasher) => {
                hasher.clear();
                hasher.set_argon2(simd(&self.home)?);
                hasher.reserve().map_err(refused)
            }
            Arena::Reference(memory) => {
                memory.truncate(blocks(&self.home)?);
                memory.shrink_to_fit();
                Ok(())
            }
        }
    }

    /// Which implementation computes.
    #[cfg(test)]
    pub(super) fn kind(&self) -> Kind {
        match self.arena {
            Arena::Simd(_) => Kind::Simd,
            Arena::Reference(_) => Kind::Reference,
        }
    }

    /// KiB held on to.
    #[cfg(test)]
    pub(super) fn reserved_kib(&self) -> usize {
        match &self.arena {
            Arena::Simd(hasher) => hasher.reserved_blocks(),
            Arena::Reference(memory) => memory.len(),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn refused(error: impl ToString) -> EngineError {
    EngineError(error.to_string())
}

/// One thread whatever `p` says: the tag depends on lanes alone, and the pool owns the threads.
fn simd(recipe: &Recipe) -> Result<argon2_rust::Argon2, EngineError> {
    let params = argon2_rust::Params::builder()
        .memory(Memory::kib(recipe.memory_kib.into()))
        .passes(recipe.iterations)
        .lanes(recipe.parallelism)
        .threads(1)
        .tag_len(TagLen::bytes(recipe.tag_length as u64))
        .build()
        .map_err(refused)?;
    let algorithm = match recipe.algorithm {
        argon2::Algorithm::Argon2d => argon2_rust::Algorithm::Argon2d,
        argon2::Algorithm::Argon2i => argon2_rust::Algorithm::Argon2i,
        argon2::Algorithm::Argon2id => argon2_rust::Algorithm::Argon2id,
    };
    let version = match recipe.version {
        argon2::Version::V0x10 => argon2_rust::Version::V0x10,
        argon2::Version::V0x13 => argon2_rust::Version::V0x13,
    };
    Ok(argon2_rust::Argon2::new(algorithm, version, params))
}

fn params(recipe: &Recipe) -> Result<argon2::Params, EngineError> {
    argon2::Params::new(
        recipe.memory_kib,
        recipe.iterations,
        recipe.parallelism,
        Some(recipe.tag_length),
    )
    .map_err(refused)
}

fn blocks(recipe: &Recipe) -> Result<usize, EngineError> {
    Ok(params(recipe)?.block_count())
}

fn reference(
    memory: &mut Vec<Block>,
    recipe: &Recipe,
    password: &[u8],
    salt: &[u8],
    tag: &mut [u8],
) -> Result<(), EngineError> {
    let params = params(recipe)?;
    let needed = params.block_count();
    if memory.len() < needed {
        memory.resize(needed, Block::new());
    }
    let used = &mut memory[..needed];
    let outcome = argon2::Argon2::new(recipe.algorithm, recipe.version, params)
        .hash_password_into_with_memory(password, salt, tag, &mut *used);
    used.iter_mut().for_each(Zeroize::zeroize);
    outcome.map_err(refused)
}

/// [`examine`], or something that stands in for it.
pub(super) type Examine<'a> = dyn Fn(Kind, Recipe) -> Result<Option<Duration>, EngineError> + 'a;

/// Has a new engine compute known answers. Returns the time of one hash at `home`; `Ok(None)` when it is wrong.
///
/// # Errors
/// When the parameters are out of range, or there is no memory for them.
pub(super) fn examine(kind: Kind, home: Recipe) -> Result<Option<Duration>, EngineError> {
    let mut engine = Engine::new(kind, home)?;
    measure(home, &mut |recipe, password, salt, tag| {
        engine.compute(recipe, password, salt, tag)
    })
}

/// [`Engine::compute`], or something that claims to be it.
type Compute<'a> = dyn FnMut(&Recipe, &[u8], &[u8], &mut [u8]) -> Result<(), EngineError> + 'a;

/// Computes with `candidate` and with the reference, compares, and measures the candidate at `home`.
/// `Ok(None)`: they disagree, and the candidate must not be used.
///
/// # Errors
/// When the reference cannot compute either.
pub(super) fn measure(
    home: Recipe,
    candidate: &mut Compute<'_>,
) -> Result<Option<Duration>, EngineError> {
    for recipe in samples(home) {
        let (password, salt) = (b"known answer", [0x5a; SALT_LENGTH]);
        let mut expected = Zeroizing::new([0; MAX_TAG_LENGTH]);
        let mut actual = expected.clone();
        let length = recipe.tag_length;
        let computed = candidate(&recipe, password, &salt, &mut actual[..length]);
        if recipe.cost_kib() > MAX_REFERENCE_COST_KIB {
            computed?;
            continue;
        }
        Engine::new(Kind::Reference, recipe)?.compute(
            &recipe,
            password,
            &salt,
            &mut expected[..length],
        )?;
        if computed.is_err() || actual != expected {
            return Ok(None);
        }
    }
    time(home, candidate).map(Some)
}

/// The time of one hash, of the better of two: the queue promises by it, and the very first one, which has
/// just made its memory, takes several times as long.
fn time(home: Recipe, candidate: &mut Compute<'_>) -> Result<Duration, EngineError> {
    let mut best = Duration::MAX;
    for _ in 0..2 {
        let mut tag = Zeroizing::new([0; MAX_TAG_LENGTH]);
        let tag = &mut tag[..home.tag_length];
        let watch = Stopwatch::start();
        candidate(&home, b"known answer", &[0x5a; SALT_LENGTH], tag)?;
        best = best.min(watch.elapsed());
    }
    Ok(best)
}

/// Cheap recipes of each variant, of one lane and of several, then `home` itself.
fn samples(home: Recipe) -> impl Iterator<Item = Recipe> {
    use argon2::Algorithm::{Argon2d, Argon2i, Argon2id};
    let cheap = [(Argon2id, 1), (Argon2id, 3), (Argon2i, 1), (Argon2d, 2)];
    cheap
        .into_iter()
        .map(move |(algorithm, parallelism)| Recipe {
            algorithm,
            memory_kib: 64,
            iterations: 3,
            parallelism,
            ..home
        })
        .chain([home])
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Version};

    use super::*;
    use crate::clock;

    fn recipe(algorithm: Algorithm, memory_kib: u32, iterations: u32, parallelism: u32) -> Recipe {
        Recipe {
            algorithm,
            version: Version::V0x13,
            memory_kib,
            iterations,
            parallelism,
            tag_length: 32,
        }
    }

    fn tag(engine: &mut Engine, recipe: &Recipe, password: &[u8], salt: &[u8]) -> Vec<u8> {
        let mut tag = vec![0; recipe.tag_length];
        engine
            .compute(recipe, password, salt, &mut tag)
            .expect("within range");
        tag
    }

    /// RFC 9106, section 5: with secret and associated data, which our own hashes do not have.
    #[test]
    fn both_engines_meet_the_vectors_of_rfc_9106() {
        let vectors = [
            (
                Algorithm::Argon2d,
                "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb",
            ),
            (
                Algorithm::Argon2i,
                "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8",
            ),
            (
                Algorithm::Argon2id,
                "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
            ),
        ];
        let (password, salt, secret, data) = ([1; 32], [2; 16], [3; 8], [4; 12]);
        for (algorithm, expected) in vectors {
            let recipe = recipe(algorithm, 32, 3, 4);
            let mut fast = [0; 32];
            simd(&recipe)
                .and_then(|engine| {
                    engine
                        .hasher()
                        .hash_into_with_ad(&password, &salt, &secret, &data, &mut fast)
                        .map_err(refused)
                })
                .expect("computes");
            assert_eq!(hex::encode(fast), expected, "argon2-rust {algorithm}");

            let params = argon2::ParamsBuilder::new()
                .m_cost(32)
                .t_cost(3)
                .p_cost(4)
                .output_len(32)
                .data(argon2::AssociatedData::new(&data).expect("short enough"))
                .build()
                .expect("valid");
            let mut slow = [0; 32];
            argon2::Argon2::new_with_secret(&secret, algorithm, Version::V0x13, params)
                .and_then(|reference| reference.hash_password_into(&password, &salt, &mut slow))
                .expect("computes");
            assert_eq!(hex::encode(slow), expected, "argon2 {algorithm}");
        }
    }

    #[test]
    fn the_engine_equals_the_reference_over_a_grid() {
        let home = recipe(Algorithm::Argon2id, 64, 1, 1);
        let mut fast = Engine::new(Kind::Simd, home).expect("starts");
        let mut slow = Engine::new(Kind::Reference, home).expect("starts");
        for algorithm in [Algorithm::Argon2d, Algorithm::Argon2i, Algorithm::Argon2id] {
            for version in [Version::V0x10, Version::V0x13] {
                for (memory_kib, iterations, parallelism, tag_length) in [
                    (8, 1, 1, 16),
                    (9, 2, 1, 32),
                    (64, 3, 2, 32),
                    (100, 1, 3, 33),
                    (256, 2, 4, 64),
                    (1023, 1, 16, 32),
                    (4096, 2, 1, 32),
                ] {
                    let recipe = Recipe {
                        algorithm,
                        version,
                        memory_kib,
                        iterations,
                        parallelism,
                        tag_length,
                    };
                    assert_eq!(
                        tag(&mut fast, &recipe, b"password", b"some salt"),
                        tag(&mut slow, &recipe, b"password", b"some salt"),
                        "{recipe:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_engine_equals_the_reference_on_random_inputs() {
        let home = recipe(Algorithm::Argon2id, 32, 1, 1);
        let mut fast = Engine::new(Kind::Simd, home).expect("starts");
        let mut slow = Engine::new(Kind::Reference, home).expect("starts");
        for _ in 0..300 {
            let bytes: [u8; 1024] = clock::random();
            let dice: [u8; 6] = clock::random();
            let parallelism = 1 + u32::from(dice[0] % 4);
            let recipe = Recipe {
                algorithm: [Algorithm::Argon2d, Algorithm::Argon2i, Algorithm::Argon2id]
                    [usize::from(dice[1] % 3)],
                version: Version::V0x13,
                memory_kib: 8 * parallelism + u32::from(dice[2]),
                iterations: 1 + u32::from(dice[3] % 3),
                parallelism,
                tag_length: 16 + usize::from(dice[4] % 49),
            };
            let password = &bytes[..usize::from(dice[5]) * 4];
            let salt = &bytes[1024 - 8 - usize::from(dice[4] % 41)..];
            assert_eq!(
                tag(&mut fast, &recipe, password, salt),
                tag(&mut slow, &recipe, password, salt),
                "{recipe:?} {password:02x?} {salt:02x?}"
            );
        }
    }

    #[test]
    fn lanes_start_no_threads_of_their_own() {
        let engine = simd(&recipe(Algorithm::Argon2id, 64, 1, 4)).expect("within range");
        assert_eq!(engine.params().lanes(), 4);
        assert_eq!(engine.params().effective_threads(), 1);
    }

    #[test]
    fn memory_for_a_costlier_hash_is_given_back() {
        let home = recipe(Algorithm::Argon2id, 64, 1, 1);
        for kind in [Kind::Simd, Kind::Reference] {
            let mut engine = Engine::new(kind, home).expect("starts");
            assert_eq!(engine.reserved_kib(), 64);
            let costly = recipe(Algorithm::Argon2id, 4096, 1, 1);
            let before = tag(&mut engine, &home, b"password", b"some salt");
            tag(&mut engine, &costly, b"password", b"some salt");
            assert_eq!(engine.reserved_kib(), 64, "{kind:?}");
            assert_eq!(tag(&mut engine, &home, b"password", b"some salt"), before);
        }
    }

    #[test]
    fn parameters_out_of_range_are_errors() {
        for kind in [Kind::Simd, Kind::Reference] {
            for (m, t, p) in [(7, 1, 1), (64, 0, 1), (64, 1, 0), (64, 1, 9)] {
                let home = recipe(Algorithm::Argon2id, m, t, p);
                assert!(Engine::new(kind, home).is_err(), "{kind:?} {home:?}");
            }
        }
    }

    #[test]
    fn a_lying_engine_is_found_out() {
        let home = recipe(Algorithm::Argon2id, 64, 1, 1);
        let mut honest = Engine::new(Kind::Simd, home).expect("starts");
        let measured = measure(home, &mut |recipe, password, salt, tag| {
            honest.compute(recipe, password, salt, tag)
        });
        assert!(matches!(measured, Ok(Some(_))), "{measured:?}");

        let measured = measure(home, &mut |recipe, password, salt, tag| {
            honest.compute(recipe, password, salt, tag)?;
            tag[0] ^= u8::from(recipe.parallelism == 3);
            Ok(())
        });
        assert_eq!(measured, Ok(None));

        let measured = measure(home, &mut |_, _, _, _| Err(EngineError("broken".into())));
        assert_eq!(measured, Ok(None));
    }
}
