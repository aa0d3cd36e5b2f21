//! Two implementations of Argon2 behind one method: the SIMD engine, and the crate that it is checked
//! against. Each keeps its memory between hashes and wipes it after every one.
//!
//! # What is known of the engine
//!
//! argon2-rust 1.1.0, its source read on 2026-11-24:
//!
//! - **Wiping.** Every block is zeroed after each hash, also after one that failed or panicked, by stores that the
//!   compiler may not leave out; so are the seed, the last block and the states of `BLAKE2b`. As in the C reference, the
//!   block in work, in registers and on the stack, is not. `engine/tests/memory.rs` looks into the memory.
//! - **Huge pages.** From 2 MiB on the memory is a mapping of its own, advised with `MADV_HUGEPAGE` when it is
//!   reserved; the first hash fills it with pages. A smaller one comes from the allocator.
//! - **Threads.** With `threads(1)` none are started, neither for lanes nor for wiping.
//! - **SIMD.** Chosen once in a process, by what the processor says it has: AVX-512F, else AVX2, else SSE2; on
//!   aarch64 NEON where a short trial finds it faster than scalar code.
//! - **`unsafe`.** In the SIMD kernels, the memory (`mmap`, `munmap`, `madvise` declared by hand), the wiping and the
//!   threads. No safe call can choose instructions that the processor lacks.
//! - **Origin.** MIT; one maintainer; its changelog begins in August 2026 and 1.1.0 of 2026-08-13 is the newest; the
//!   engine of `@node-rs/argon2` since then. It depends on memchr alone, for PHC strings, which other code reads here.
//! - **Checks.** No independent audit. Its CI compares tags and inner states with the C reference on x86-64 and
//!   aarch64, under `AddressSanitizer` too; Miri sees its memory; fuzzing looks for panics but not for wrong tags. No
//!   report of a wrong tag or a crash was found, and no advisory.
//!
//! Hence the checks of ours: equality with the reference in the tests and under fuzzing (`tests/fuzz`), and known
//! answers at every start ([`examine`]).

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
fn measure(home: Recipe, candidate: &mut Compute<'_>) -> Result<Option<Duration>, EngineError> {
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
mod tests;
