#!/bin/sh
# Proofs that take longer than test.sh may: prove.sh [MINUTES]. The whole suite three times, a part of it against
# each PostgreSQL that is promised, many times as many histories of the store and cases of each property, every bench once, each fuzz target for MINUTES (5).
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

begin "properties"
PROPTEST_CASES=20000 run_tests --profile long --lib

begin "benches, once each"
checked cargo test --workspace --bench '*' --locked

begin "fuzzing, $minutes min each"
deploy/fuzz.sh $((minutes * 60))

finish
