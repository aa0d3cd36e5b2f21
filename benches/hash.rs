//! What one password costs: through the pool, and in the engines alone. Ratios are printed at the end, from
//! rounds in which every contender takes its turn, so that a busy machine slows all of them alike.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot go on has failed"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sallyport::clock::Stopwatch;
use sallyport::config;
use sallyport::crypto::HashPool;
use sallyport::model::Password;
use tokio::runtime::Runtime;

const PASSWORD: &str = "SecurePass123!";
const SALT: &[u8; 16] = b"0123456789abcdef";
/// Odd, so that the median is one of them.
const ROUNDS: usize = 61;

/// Ways to compute one Argon2id tag with the service's default parameters.
struct Contenders {
    runtime: Runtime,
    pool: HashPool,
    stored: String,
    hasher: argon2_rust::Hasher,
    one_shot: argon2_rust::Argon2,
    reference: argon2::Argon2<'static>,
    blocks: Vec<argon2::Block>,
}

/// Its name and one hash.
type Contender = (&'static str, fn(&mut Contenders));

impl Contenders {
    fn new() -> Self {
        let settings = config::Hashing {
            threads: 1,
            ..config::Hashing::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let pool = HashPool::start(&settings).unwrap();
        let stored = runtime
            .block_on(pool.hash(Password::new(PASSWORD.to_owned())))
            .unwrap();
        let (m, t, p) = (
            settings.memory_kib,
            settings.iterations,
            settings.parallelism,
        );
        let params = argon2_rust::Params::builder()
            .memory(argon2_rust::params::Memory::kib(m.into()))
            .passes(t)
            .lanes(p)
            .threads(1)
            .tag_len(argon2_rust::params::TagLen::bytes(32))
            .build()
            .unwrap();
        let one_shot = argon2_rust::Argon2::new(
            argon2_rust::Algorithm::Argon2id,
            argon2_rust::Version::V0x13,
            params,
        );
        let params = argon2::Params::new(m, t, p, Some(32)).unwrap();
        let blocks = vec![argon2::Block::new(); params.block_count()];
        let (algorithm, version) = (argon2::Algorithm::Argon2id, argon2::Version::V0x13);
        Self {
            runtime,
            pool,
            stored,
            hasher: one_shot.hasher(),
            one_shot,
            reference: argon2::Argon2::new(algorithm, version, params),
            blocks,
        }
    }

    /// All of them, the pool first.
    fn all() -> [Contender; 5] {
        [
            ("pool", Self::through_the_pool),
            ("argon2-rust, reused", Self::engine_reused),
            ("argon2-rust, one-shot", Self::engine_one_shot),
            ("argon2, reused", Self::reference_reused),
            ("argon2, allocating", Self::reference_allocating),
        ]
    }

    fn through_the_pool(&mut self) {
        let password = Password::new(PASSWORD.to_owned());
        let verified = self.pool.verify(password, Some(self.stored.clone()));
        assert!(self.runtime.block_on(verified).unwrap().matches);
    }

    fn engine_reused(&mut self) {
        let mut tag = [0; 32];
        self.hasher
            .hash_into(PASSWORD.as_bytes(), SALT, &mut tag)
            .unwrap();
        black_box(tag);
    }

    fn engine_one_shot(&mut self) {
        let mut tag = [0; 32];
        self.one_shot
            .hash_into(PASSWORD.as_bytes(), SALT, &mut tag)
            .unwrap();
        black_box(tag);
    }

    fn reference_reused(&mut self) {
        let mut tag = [0; 32];
        self.reference
            .hash_password_into_with_memory(PASSWORD.as_bytes(), SALT, &mut tag, &mut self.blocks)
            .unwrap();
        black_box(tag);
    }

    fn reference_allocating(&mut self) {
        let mut tag = [0; 32];
        self.reference
            .hash_password_into(PASSWORD.as_bytes(), SALT, &mut tag)
            .unwrap();
        black_box(tag);
    }
}

fn hash(criterion: &mut Criterion) {
    let mut contenders = Contenders::new();
    let mut group = criterion.benchmark_group("argon2id m=19456 t=2 p=1");
    group.sample_size(30);
    for (name, run) in Contenders::all() {
        group.bench_function(name, |bencher| bencher.iter(|| run(&mut contenders)));
    }
    group.finish();
    print_ratios(&mut contenders);
}

/// Medians of interleaved rounds, each beside the pool's.
#[expect(clippy::print_stdout, reason = "this is what the bench is for")]
fn print_ratios(contenders: &mut Contenders) {
    let all = Contenders::all();
    let mut times: [Vec<Duration>; 5] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, run), times) in all.iter().zip(&mut times) {
            let watch = Stopwatch::start();
            run(contenders);
            times.push(watch.elapsed());
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2].as_secs_f64() * 1e3
    });
    println!(
        "\nmedians of {ROUNDS} interleaved rounds (targets: pool ≤ 1.03 × argon2-rust reused, ≤ 0.46 × argon2 reused)"
    );
    for ((name, _), median) in all.iter().zip(medians) {
        println!(
            "{name:<24}{median:>8.3} ms   pool is {:.3} × this",
            medians[0] / median
        );
    }
}

criterion_group!(benches, hash);
criterion_main!(benches);
