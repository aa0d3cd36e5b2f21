#!/bin/sh
# Fuzzes the parsers of outside input, and the hash engine against its reference.
# fuzz.sh [SECONDS] [TARGET...]: a minute for each target in tests/fuzz, or what is said. What is found is kept in
# tests/fuzz/artifacts/. Works with the stable compiler: coverage guides it, sanitizers it has none.
set -eu
. "$(dirname "$0")/setup.sh"

# Quick to build: what a fuzz target tests needs no link-time optimisation.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

need_cargo
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz

seconds="${1:-60}"
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(cargo fuzz list --fuzz-dir tests/fuzz)

for target; do
    say ""
    say "== $target, ${seconds}s"
    seeds="tests/fuzz/seeds/$target"
    [ -d "$seeds" ] || seeds=""
    mkdir -p "tests/fuzz/corpus/$target"
    cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none "$target" "tests/fuzz/corpus/$target" $seeds -- \
        -max_total_time="$seconds" -timeout=10
done
