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

use super::hash_parameters::{HashParameters, MAX_TAG_LENGTH, SALT_LENGTH};
use crate::clock::Stopwatch;

/// Above this (KiB filled) the reference is too slow to be asked at a start.
const MAX_REFERENCE_COST_KIB: u64 = 256 * 1024;

/// An implementation of Argon2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The argon2-rust crate: SIMD chosen at run time.
    Simd,
    /// The argon2 crate.
    Reference,
}

impl Kind {
    /// Name in logs and metric labels.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Simd => "argon2-rust",
            Self::Reference => "argon2",
        }
    }

    /// Instruction set chosen for this processor; empty where it is not known.
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

/// Argon2 of one worker, with its memory.
pub(super) struct Engine {
    configured: HashParameters,
    arena: Arena,
}

enum Arena {
    Simd(argon2_rust::Hasher),
    Reference(Vec<Block>),
}

impl Engine {
    /// An engine with memory reserved for `configured`, the parameters that it will mostly compute with.
    pub(super) fn new(kind: Kind, configured: HashParameters) -> Result<Self, EngineError> {
        let arena = match kind {
            Kind::Simd => {
                let mut hasher = simd(&configured)?.hasher();
                hasher.reserve().map_err(refused)?;
                Arena::Simd(hasher)
            }
            Kind::Reference => Arena::Reference(vec![Block::new(); blocks(&configured)?]),
        };
        Ok(Self { configured, arena })
    }

    /// Computes the tag that fills `tag`, which must have the length that the parameters say.
    pub(super) fn compute(
        &mut self,
        parameters: &HashParameters,
        password: &[u8],
        salt: &[u8],
        tag: &mut [u8],
    ) -> Result<(), EngineError> {
        let outcome = match &mut self.arena {
            Arena::Simd(hasher) => {
                hasher.set_argon2(simd(parameters)?);
                hasher.hash_into(password, salt, tag).map_err(refused)
            }
            Arena::Reference(memory) => reference(memory, parameters, password, salt, tag),
        };
        if parameters.memory_kib > self.configured.memory_kib {
            self.release_excess()?;
        }
        outcome
    }

    /// Releases memory that only a costlier stored hash needed, so that one import does not hold it forever.
    fn release_excess(&mut self) -> Result<(), EngineError> {
        match &mut self.arena {
            Arena::Simd(hasher) => {
                hasher.clear();
                hasher.set_argon2(simd(&self.configured)?);
                hasher.reserve().map_err(refused)
            }
            Arena::Reference(memory) => {
                memory.truncate(blocks(&self.configured)?);
                memory.shrink_to_fit();
                Ok(())
            }
        }
    }

    /// The implementation.
    #[cfg(test)]
    pub(super) fn kind(&self) -> Kind {
        match self.arena {
            Arena::Simd(_) => Kind::Simd,
            Arena::Reference(_) => Kind::Reference,
        }
    }

    /// KiB that are reserved.
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

/// Argon2 on one thread whatever `p` says: the tag depends on lanes alone, and the pool owns the threads.
fn simd(parameters: &HashParameters) -> Result<argon2_rust::Argon2, EngineError> {
    let params = argon2_rust::Params::builder()
        .memory(Memory::kib(parameters.memory_kib.into()))
        .passes(parameters.iterations)
        .lanes(parameters.parallelism)
        .threads(1)
        .tag_len(TagLen::bytes(parameters.tag_length as u64))
        .build()
        .map_err(refused)?;
    let algorithm = match parameters.algorithm {
        argon2::Algorithm::Argon2d => argon2_rust::Algorithm::Argon2d,
        argon2::Algorithm::Argon2i => argon2_rust::Algorithm::Argon2i,
        argon2::Algorithm::Argon2id => argon2_rust::Algorithm::Argon2id,
    };
    let version = match parameters.version {
        argon2::Version::V0x10 => argon2_rust::Version::V0x10,
        argon2::Version::V0x13 => argon2_rust::Version::V0x13,
    };
    Ok(argon2_rust::Argon2::new(algorithm, version, params))
}

fn params(parameters: &HashParameters) -> Result<argon2::Params, EngineError> {
    argon2::Params::new(
        parameters.memory_kib,
        parameters.iterations,
        parameters.parallelism,
        Some(parameters.tag_length),
    )
    .map_err(refused)
}

fn blocks(parameters: &HashParameters) -> Result<usize, EngineError> {
    Ok(params(parameters)?.block_count())
}

fn reference(
    memory: &mut Vec<Block>,
    parameters: &HashParameters,
    password: &[u8],
    salt: &[u8],
    tag: &mut [u8],
) -> Result<(), EngineError> {
    let params = params(parameters)?;
    let needed = params.block_count();
    if memory.len() < needed {
        memory.resize(needed, Block::new());
    }
    let used = &mut memory[..needed];
    let outcome = argon2::Argon2::new(parameters.algorithm, parameters.version, params)
        .hash_password_into_with_memory(password, salt, tag, &mut *used);
    used.iter_mut().for_each(Zeroize::zeroize);
    outcome.map_err(refused)
}

/// The signature of [`examine`], which tests replace.
pub(super) type Examine<'a> =
    dyn Fn(Kind, HashParameters) -> Result<Option<Duration>, EngineError> + 'a;

/// Has a new engine compute known answers. Returns the time of one hash at `configured`; `Ok(None)` when an answer
/// is wrong.
///
/// # Errors
/// The parameters are out of range, or there is no memory for them.
pub(super) fn examine(
    kind: Kind,
    configured: HashParameters,
) -> Result<Option<Duration>, EngineError> {
    let mut engine = Engine::new(kind, configured)?;
    measure(configured, &mut |parameters, password, salt, tag| {
        engine.compute(parameters, password, salt, tag)
    })
}

/// The signature of [`Engine::compute`], which tests replace.
type Compute<'a> =
    dyn FnMut(&HashParameters, &[u8], &[u8], &mut [u8]) -> Result<(), EngineError> + 'a;

/// Computes with `candidate` and with the reference, compares, and measures the candidate at `configured`.
/// `Ok(None)`: they disagree, and the candidate must not be used.
///
/// # Errors
/// The reference cannot compute either.
fn measure(
    configured: HashParameters,
    candidate: &mut Compute<'_>,
) -> Result<Option<Duration>, EngineError> {
    for parameters in samples(configured) {
        let (password, salt) = (b"known answer", [0x5a; SALT_LENGTH]);
        let mut expected = Zeroizing::new([0; MAX_TAG_LENGTH]);
        let mut actual = expected.clone();
        let length = parameters.tag_length;
        let computed = candidate(&parameters, password, &salt, &mut actual[..length]);
        if parameters.cost_kib() > MAX_REFERENCE_COST_KIB {
            computed?;
            continue;
        }
        Engine::new(Kind::Reference, parameters)?.compute(
            &parameters,
            password,
            &salt,
            &mut expected[..length],
        )?;
        if computed.is_err() || actual != expected {
            return Ok(None);
        }
    }
    time(configured, candidate).map(Some)
}

/// Time of one hash, the better of two: the queue admits by it, and the very first one, which has just made its
/// memory, takes several times as long.
fn time(configured: HashParameters, candidate: &mut Compute<'_>) -> Result<Duration, EngineError> {
    let mut best = Duration::MAX;
    for _ in 0..2 {
        let mut tag = Zeroizing::new([0; MAX_TAG_LENGTH]);
        let tag = &mut tag[..configured.tag_length];
        let watch = Stopwatch::start();
        candidate(&configured, b"known answer", &[0x5a; SALT_LENGTH], tag)?;
        best = best.min(watch.elapsed());
    }
    Ok(best)
}

/// Cheap parameters of each variant, with one lane and with several, then `configured` itself.
fn samples(configured: HashParameters) -> impl Iterator<Item = HashParameters> {
    use argon2::Algorithm::{Argon2d, Argon2i, Argon2id};
    let cheap = [(Argon2id, 1), (Argon2id, 3), (Argon2i, 1), (Argon2d, 2)];
    cheap
        .into_iter()
        .map(move |(algorithm, parallelism)| HashParameters {
            algorithm,
            memory_kib: 64,
            iterations: 3,
            parallelism,
            ..configured
        })
        .chain([configured])
}

#[cfg(test)]
mod tests;
