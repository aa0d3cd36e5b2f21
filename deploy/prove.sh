#!/bin/sh
# Proofs that take longer than test.sh may: prove.sh [MINUTES]. The whole suite three times, a part of it against
# each PostgreSQL that is promised, many times as many histories of the store, refused logins and cases of each
# property, every bench once, each fuzz target for MINUTES (5), the history checker over each form of Redis and over
# planted faults.
# Ends at the first thing that is wrong.
set -eu
. "$(dirname "$0")/checks.sh"

minutes="${1:-5}"
need_everything
cargo nextest --version >/dev/null 2>&1 || fail "cargo-nextest is missing: cargo install --locked cargo-nextest"

begin "lints, documentation, compilation"
compile

for round in 1 2 3; do
    begin "the whole suite, $round of 3"
    run_tests
done

begin "PostgreSQL 14 to 18"
deploy/postgres_versions.sh

begin "histories of the store"
SALLYPORT_TEST_TIMES=50 run_tests --profile long -E 'test(/store_model/)'

begin "times of refused logins"
SALLYPORT_TEST_TIMES=17 run_tests --profile long -E 'test(/time_does_not_tell/)'

begin "properties"
PROPTEST_CASES=20000 run_tests --profile long --lib

begin "benches, once each"
checked cargo test --workspace --bench '*' --locked

begin "fuzzing, $minutes min each"
deploy/fuzz.sh $((minutes * 60))

begin "the history checker"
checked cargo build --release --package load --bin load --package sallyport --bin sallyport --locked
for topology in single sentinel cluster; do
    "$CARGO_TARGET_DIR/release/load" faults --seeds 1..20 --topology "$topology" \
        --binary "$CARGO_TARGET_DIR/release/sallyport"
done

begin "faults that the history checker must find"
deploy/planted.sh

finish
