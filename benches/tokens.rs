//! Time of token operations: issuing, verifying for the first time and again, minting and opening opaque tokens.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot go on has failed"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sallyport::clock::Clock;
use sallyport::config;
use sallyport::crypto::{AccessTokens, Claims, Keys, OpaqueTokens, SealContext, Sealer, TokenKind};
use sallyport::model::{Id, UserId};

/// Number of fresh tokens in a batch, so that no verification finds its token cached.
const BATCH: usize = 512;

fn keys(clock: &Clock) -> Keys {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    Keys::generate(&path, clock.now()).unwrap();
    Keys::load(&path).unwrap()
}

fn claims(clock: &Clock) -> Claims {
    let user_id: UserId = clock.new_id();
    let now = clock.now();
    Claims {
        user_id,
        session_id: clock.new_id_in(user_id.partition()),
        issued_at: now,
        expires_at: now.after(Duration::from_secs(900)),
        auth_time: now,
        amr: vec!["pwd".to_owned()],
        roles: vec!["admin".to_owned()],
    }
}

fn access_tokens(criterion: &mut Criterion) {
    let clock = Clock::system();
    let keys = keys(&clock);
    let tokens = AccessTokens::new(&keys, &config::Tokens::default());
    // The issuing instance has the token cached; another one has to verify its signature.
    let elsewhere = AccessTokens::new(&keys, &config::Tokens::default());
    let claims = claims(&clock);
    let mut group = criterion.benchmark_group("access token");
    group.bench_function("issue", |bencher| bencher.iter(|| tokens.issue(&claims)));
    group.bench_function("verify, first time", |bencher| {
        bencher.iter_batched(
            || elsewhere.issue(&claims),
            |token| tokens.verify(&token, claims.issued_at).unwrap(),
            BatchSize::NumIterations(BATCH as u64),
        );
    });
    let token = tokens.issue(&claims);
    group.bench_function("verify, again", |bencher| {
        bencher.iter(|| tokens.verify(black_box(&token), claims.issued_at).unwrap());
    });
    let forged = token.replacen("v4.public.e", "v4.public.f", 1);
    group.bench_function("refuse a forged one", |bencher| {
        bencher.iter(|| {
            tokens
                .verify(black_box(&forged), claims.issued_at)
                .unwrap_err()
        });
    });
    group.finish();
}

fn opaque_tokens(criterion: &mut Criterion) {
    let clock = Clock::system();
    let tokens = OpaqueTokens::new(&keys(&clock));
    let id: Id = clock.new_id();
    let kind = TokenKind::Refresh;
    let minted = tokens.mint(kind, id, 1);
    let next = tokens.mint(kind, id, 2);
    let text = tokens.encode(kind, &minted);
    let wrapped = tokens.wrap(&minted, &next);
    let mut group = criterion.benchmark_group("opaque token");
    group.bench_function("mint and encode", |bencher| {
        bencher.iter(|| tokens.encode(kind, &tokens.mint(kind, id, 1)));
    });
    group.bench_function("open", |bencher| {
        bencher.iter(|| tokens.open(kind, black_box(&text)).unwrap());
    });
    group.bench_function("wrap", |bencher| {
        bencher.iter(|| tokens.wrap(&minted, &next));
    });
    group.bench_function("unwrap", |bencher| {
        bencher.iter(|| tokens.unwrap(&minted, black_box(&wrapped)).unwrap());
    });
    group.finish();
}

fn sealing(criterion: &mut Criterion) {
    let clock = Clock::system();
    let sealer = Sealer::new(&keys(&clock));
    let place = SealContext {
        table: "two_factor_methods",
        row: clock.new_id(),
        column: "secret",
    };
    let text = sealer
        .seal(place, b"JBSWY3DPEHPK3PXP", clock.now())
        .unwrap();
    let mut group = criterion.benchmark_group("sealed secret");
    group.bench_function("seal", |bencher| {
        bencher.iter(|| {
            sealer
                .seal(place, b"JBSWY3DPEHPK3PXP", clock.now())
                .unwrap()
        });
    });
    group.bench_function("open", |bencher| {
        bencher.iter(|| sealer.open(place, black_box(&text)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, access_tokens, opaque_tokens, sealing);
criterion_main!(benches);
