//! argon2-rust computes what the argon2 crate computes: over a grid, at sizes up to 1 GiB, and on random
//! inputs. One hasher serves all cases of a test as it does in a worker, so that data left in its memory by one
//! hash would show in the next.

use std::cell::RefCell;
use std::iter::repeat_with;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

const VARIANTS: [(Algorithm, Version); 6] = [
    (Algorithm::Argon2d, Version::V0x10),
    (Algorithm::Argon2i, Version::V0x10),
    (Algorithm::Argon2id, Version::V0x10),
    (Algorithm::Argon2d, Version::V0x13),
    (Algorithm::Argon2i, Version::V0x13),
    (Algorithm::Argon2id, Version::V0x13),
];

/// Random cases of one run: two seconds of one core.
const RANDOM_CASES: u32 = 3000;

/// Inputs of many lengths, cycling through each list. The lengths of the lists are coprime, so every combination
/// comes up in time.
struct Inputs {
    turn: usize,
}

impl Inputs {
    /// Lengths at and around the 64 and 32 bytes in which long tags are made.
    const TAGS: [usize; 13] = [4, 5, 16, 20, 31, 32, 33, 48, 63, 64, 65, 96, 128];
    const SALTS: [usize; 7] = [8, 9, 16, 22, 32, 64, 100];
    /// Lengths at and around `BLAKE2b`'s block of 128 bytes.
    const PASSWORDS: [usize; 5] = [0, 1, 24, 128, 300];
    const SECRETS: [usize; 4] = [0, 8, 32, 129];
    /// Lengths of the associated data, of which the argon2 crate takes no more than 32.
    const DATA: [usize; 3] = [0, 12, 32];

    fn next(&mut self, parameters: HashParameters) -> Case {
        self.turn += 1;
        let turn = self.turn;
        let mut seed = turn as u64;
        let mut bytes = |lengths: &[usize]| {
            repeat_with(|| scrambled(&mut seed))
                .take(lengths[turn % lengths.len()])
                .collect()
        };
        Case {
            password: bytes(&Self::PASSWORDS),
            salt: bytes(&Self::SALTS),
            secret: bytes(&Self::SECRETS),
            data: bytes(&Self::DATA),
            parameters: HashParameters {
                tag_length: Self::TAGS[turn % Self::TAGS.len()],
                ..parameters
            },
        }
    }
}

/// A pseudo-random byte, the same in every run (the constants are Knuth's).
fn scrambled(seed: &mut u64) -> u8 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    seed.to_be_bytes()[0]
}

fn assert_equal(hasher: &mut argon2_rust::Hasher, case: &Case) {
    assert_eq!(case.by_argon2_rust(hasher), case.by_argon2(), "{case:?}");
}

/// The least memory there is for `lanes`, some that do not divide evenly among them, and up to 1 MiB.
fn small_sizes(lanes: u32) -> [u32; 6] {
    [8 * lanes, 8 * lanes + 3, 1024, 16 * lanes + 5, 257, 128]
}

#[test]
fn every_variant_with_1_to_6_passes_and_1_to_4_lanes_in_small_memory() {
    let (mut hasher, mut inputs) = (hasher(), Inputs { turn: 0 });
    for (algorithm, version) in VARIANTS {
        for iterations in 1..=6 {
            for lanes in 1..=4 {
                for memory_kib in small_sizes(lanes) {
                    let parameters = HashParameters {
                        version,
                        ..parameters(algorithm, memory_kib, iterations, lanes)
                    };
                    assert_equal(&mut hasher, &inputs.next(parameters));
                }
            }
        }
    }
}

/// From 2 MiB on the memory of argon2-rust is a mapping of its own; 19 MiB is what passwords are hashed with.
#[test]
fn every_variant_in_memory_of_4_to_64_mib() {
    let (mut hasher, mut inputs) = (hasher(), Inputs { turn: 0 });
    for (algorithm, version) in VARIANTS {
        for (memory_kib, iterations, lanes) in [(4096, 6, 3), (19_456, 2, 1), (65_536, 3, 4)] {
            let parameters = HashParameters {
                version,
                ..parameters(algorithm, memory_kib, iterations, lanes)
            };
            assert_equal(&mut hasher, &inputs.next(parameters));
        }
    }
}

/// Large sizes one after the other, each releasing its memory before the reference takes its own.
#[test]
fn memory_of_256_mib_and_1_gib() {
    let mut inputs = Inputs { turn: 0 };
    for (algorithm, memory_kib, lanes) in [
        (Algorithm::Argon2i, 262_144, 2),
        (Algorithm::Argon2d, 262_144, 3),
        (Algorithm::Argon2id, 1_048_576, 1),
        (Algorithm::Argon2id, 1_048_576, 4),
    ] {
        let case = inputs.next(parameters(algorithm, memory_kib, 1, lanes));
        let tag = case.by_argon2_rust(&mut hasher());
        assert_eq!(tag, case.by_argon2(), "{case:?}");
    }
}

#[test]
fn random_inputs() {
    let hasher = RefCell::new(hasher());
    TestRunner::new(ProptestConfig::with_cases(RANDOM_CASES))
        .run(&any_case(), |case| {
            let tag = case.by_argon2_rust(&mut hasher.borrow_mut());
            prop_assert_eq!(tag, case.by_argon2());
            Ok(())
        })
        .expect("both crates compute the same");
}

/// A random case of up to 1 MiB, small sizes as likely as large ones.
fn any_case() -> impl Strategy<Value = Case> {
    let parameters = (0..6_usize, 1..=6_u32, 1..=4_u32, 0..=10_u32, 4..=128_usize).prop_flat_map(
        |(variant, iterations, parallelism, power, tag_length)| {
            let (algorithm, version) = VARIANTS[variant];
            (0..1_u32 << power).prop_map(move |more| HashParameters {
                algorithm,
                version,
                memory_kib: 8 * parallelism + more,
                iterations,
                parallelism,
                tag_length,
            })
        },
    );
    let bytes = |lengths| vec(any::<u8>(), lengths);
    (
        parameters,
        bytes(0..=300),
        bytes(8..=100),
        bytes(0..=150),
        bytes(0..=32),
    )
        .prop_map(|(parameters, password, salt, secret, data)| Case {
            parameters,
            password,
            salt,
            secret,
            data,
        })
}

/// The engines themselves, with the parameters of a stored hash as their only argument.
#[test]
fn an_engine_computes_what_its_crate_computes() {
    let configured = parameters(Algorithm::Argon2id, 64, 1, 1);
    let mut fast = Engine::new(Kind::Simd, configured).expect("starts");
    let mut slow = Engine::new(Kind::Reference, configured).expect("starts");
    let mut inputs = Inputs { turn: 0 };
    for (algorithm, version) in VARIANTS {
        for (memory_kib, iterations, lanes) in [(8, 1, 1), (100, 3, 3), (64, 2, 2), (4096, 1, 16)] {
            let case = Case {
                secret: Vec::new(),
                data: Vec::new(),
                ..inputs.next(HashParameters {
                    version,
                    ..parameters(algorithm, memory_kib, iterations, lanes)
                })
            };
            let expected = case.by_argon2();
            for engine in [&mut fast, &mut slow] {
                let tag = tag(engine, &case.parameters, &case.password, &case.salt);
                assert_eq!(tag, expected, "{case:?}");
            }
        }
    }
}
