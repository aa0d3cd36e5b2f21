//! Time of one password hash: through the pool, in the engines alone, and in the C library. Ratios are printed at
//! the end, from interleaved rounds, so that a busy machine slows all contenders alike.
//!
//! The pool, argon2-rust and libargon2 wipe the memory after a hash, as the service must; the argon2 crate does not.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot go on has failed"
)]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sallyport::clock::Stopwatch;
use sallyport::config;
use sallyport::crypto::HashPool;
use sallyport::model::Password;
use tokio::runtime::Runtime;

const PASSWORD: &str = "SecurePass123!";
const SALT: &[u8; 16] = b"0123456789abcdef";
/// Number of rounds; odd, so that the median is one of them.
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
    libargon2: Option<LibArgon2>,
}

struct Contender {
    name: &'static str,
    /// Computes one hash and returns its time.
    run: fn(&mut Contenders) -> Duration,
    /// Most times as long as this contender that the pool may take.
    target: Option<f64>,
}

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
            libargon2: LibArgon2::start(m, t, p),
        }
    }

    /// All contenders on this machine, the pool first.
    fn all(&self) -> Vec<Contender> {
        let contender = |name, run, target| Contender { name, run, target };
        let mut all = vec![
            contender("pool", |all| timed(|| all.through_the_pool()), None),
            contender(
                "argon2-rust, reused",
                |all| timed(|| all.engine_reused()),
                Some(1.03),
            ),
            contender(
                "argon2-rust, one-shot",
                |all| timed(|| all.engine_one_shot()),
                None,
            ),
            contender(
                "argon2, reused",
                |all| timed(|| all.reference_reused()),
                Some(0.46),
            ),
            contender(
                "argon2, allocating",
                |all| timed(|| all.reference_allocating()),
                None,
            ),
        ];
        if let Some(libargon2) = &self.libargon2 {
            assert_eq!(libargon2.tag, hex::encode(self.expected()));
            all.push(contender(
                "libargon2, allocating",
                |all| all.libargon2.as_mut().unwrap().hash(),
                None,
            ));
        }
        all
    }

    /// The tag that every contender but the pool, which draws its salt, computes.
    fn expected(&self) -> [u8; 32] {
        let mut tag = [0; 32];
        self.reference
            .hash_password_into(PASSWORD.as_bytes(), SALT, &mut tag)
            .unwrap();
        tag
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

fn timed(run: impl FnOnce()) -> Duration {
    let watch = Stopwatch::start();
    run();
    watch.elapsed()
}

/// The system's C library, in a process of Python that times each call itself: this crate forbids the `unsafe`
/// that calling it would take. Ends with its standard input.
struct LibArgon2 {
    process: Child,
    requests: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    tag: String,
}

impl LibArgon2 {
    /// `None` where Python or the library is missing.
    #[expect(clippy::print_stdout, reason = "this is what the bench is for")]
    fn start(m: u32, t: u32, p: u32) -> Option<Self> {
        let started = Self::try_start(m, t, p);
        if started.is_none() {
            println!(
                "libargon2 is left out: it takes python3 and libargon2.so.1 (Debian: libargon2-1)"
            );
        }
        started
    }

    fn try_start(m: u32, t: u32, p: u32) -> Option<Self> {
        let mut process = Command::new("python3")
            .args(["-c", include_str!("libargon2.py"), PASSWORD])
            .arg(std::str::from_utf8(SALT).unwrap())
            .args([m, t, p].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let requests = process.stdin.take();
        let mut answers = BufReader::new(process.stdout.take()?).lines();
        let tag = answers.next()?.ok()?;
        Some(Self {
            process,
            requests,
            answers,
            tag,
        })
    }

    fn hash(&mut self) -> Duration {
        self.requests.as_ref().unwrap().write_all(b"\n").unwrap();
        let nanoseconds = self.answers.next().unwrap().unwrap();
        Duration::from_nanos(nanoseconds.parse().unwrap())
    }
}

impl Drop for LibArgon2 {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.process.wait();
    }
}

fn hash(criterion: &mut Criterion) {
    let mut contenders = Contenders::new();
    let mut group = criterion.benchmark_group("argon2id m=19456 t=2 p=1");
    group.sample_size(30);
    for Contender { name, run, .. } in contenders.all() {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| run(&mut contenders)).sum());
        });
    }
    group.finish();
    print_ratios(&mut contenders);
}

/// Medians of interleaved rounds, each beside the pool's.
#[expect(clippy::print_stdout, reason = "this is what the bench is for")]
fn print_ratios(contenders: &mut Contenders) {
    let all = contenders.all();
    let mut times = vec![Vec::with_capacity(ROUNDS); all.len()];
    for _ in 0..ROUNDS {
        for (contender, times) in all.iter().zip(&mut times) {
            times.push((contender.run)(contenders));
        }
    }
    let medians: Vec<f64> = times.into_iter().map(median_millis).collect();
    println!("\nmedians of {ROUNDS} interleaved rounds");
    for (contender, median) in all.iter().zip(&medians) {
        let ratio = medians[0] / median;
        let target = contender
            .target
            .map_or_else(String::new, |target| format!(" (target ≤ {target})"));
        println!(
            "{:<24}{median:>8.3} ms   pool is {ratio:.3} × this{target}",
            contender.name
        );
    }
    println!(
        "argon2-rust computes with {} here; the target against the argon2 crate is for avx512",
        argon2_rust::detected_backend()
    );
}

fn median_millis(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

criterion_group!(benches, hash);
criterion_main!(benches);
