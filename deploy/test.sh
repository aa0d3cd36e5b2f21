#!/bin/sh
# Checks and tests everything: installs what is missing, then formatting, dependencies (where cargo-deny is
# installed), lints and documentation while everything is compiled, and the tests. Arguments go to the test runner.
# Ends at the first thing that is wrong. Proofs that take longer: prove.sh.
set -eu
. "$(dirname "$0")/checks.sh"

need_everything

begin "formatting"
cargo fmt --all --check

begin "dependencies"
if cargo deny --version >/dev/null 2>&1; then
    cargo deny --workspace --locked --config .config/deny.toml check bans licenses sources
else
    say "(cargo-deny is not installed: not checked)"
fi

begin "lints, documentation, compilation"
compile

begin "tests"
run_tests "$@"

finish
