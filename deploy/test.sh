#!/bin/sh
# Checks and tests everything: installs what is missing, then formatting, lints, documentation, tests and,
# where cargo-deny is installed, the dependencies. Ends at the first thing that is wrong.
set -eu
. "$(dirname "$0")/setup.sh"

step() { say ""; say "== $*"; }

need_cargo
need_packages
need_test_packages

step "formatting"
cargo fmt --all --check
cargo fmt --manifest-path tests/fuzz/Cargo.toml --check

step "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
# The fuzz targets are not run here. Nothing is linked, so libFuzzer itself need not be built.
CUSTOM_LIBFUZZER_PATH=/nonexistent/libfuzzer.a \
    cargo clippy --manifest-path tests/fuzz/Cargo.toml --locked -- -D warnings

step "documentation"
# Private rooms are documented too, so links to them lead somewhere.
RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked --quiet

step "examples in the documentation"
cargo test --workspace --doc --locked --quiet

step "dependencies"
if cargo deny --version >/dev/null 2>&1; then
    cargo deny --workspace --locked --config .config/deny.toml check bans licenses sources
else
    say "(cargo-deny is not installed: not checked)"
fi

step "tests"
# One set of throw-away stores for the whole run; they end with the command, however it ends.
with_stores() { cargo run --quiet --locked --bin sallyport -- stores -- "$@"; }
if cargo nextest --version >/dev/null 2>&1; then
    with_stores cargo nextest run --workspace --locked "$@"
else
    say "(cargo-nextest is not installed: using cargo test)"
    with_stores cargo test --workspace --all-targets --locked "$@"
fi

say ""
say "Everything is in order."
