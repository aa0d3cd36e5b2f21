# Shared by test.sh and prove.sh: steps with their times, one compilation for lints, documentation and tests.
# Sourced, not run; plain POSIX shell.
. "$(dirname "$0")/setup.sh"

started=$(date +%s)
step_started=$started
step=""

# begin NAME: tells how long the step before took.
begin() {
    end_step
    step="$*"
    step_started=$(date +%s)
    say ""
    say "== $step"
}

end_step() {
    [ -z "$step" ] || say "-- $step: $(($(date +%s) - step_started)) s"
}

finish() {
    end_step
    say ""
    say "Everything is in order, after $(($(date +%s) - started)) s."
}

need_everything() {
    need_cargo
    need_packages
    need_test_packages
}

# checked COMMAND...: runs cargo such that our crates are linted and documented while they are compiled, see
# compile.sh. All of a run goes this way, or cargo would compile once more.
checked() {
    # Fuzz targets are linked with an empty library: here they are never run. cargo-fuzz brings the real one.
    stub="$CARGO_TARGET_DIR/no-fuzzer/libfuzzer.a"
    [ -e "$stub" ] || make_stub
    RUSTC_WORKSPACE_WRAPPER="$PWD/deploy/compile.sh" CLIPPY_ARGS="-Dwarnings__CLIPPY_HACKERY__" \
        CUSTOM_LIBFUZZER_PATH="$stub" "$@"
}

make_stub() {
    mkdir -p "${stub%/*}"
    printf 'int main(void) { return 0; }\nint LLVMFuzzerMutate(void) { return 0; }\n' |
        cc -x c -c - -o "${stub%.a}.o"
    ar crs "$stub" "${stub%.a}.o"
}

compile() { checked cargo build --workspace --all-targets --locked; }

# run_tests ARGUMENT...: one set of throw-away stores for the whole run; they end with the command, however it ends.
run_tests() {
    stores="$CARGO_TARGET_DIR/debug/sallyport"
    if cargo nextest --version >/dev/null 2>&1; then
        checked "$stores" stores -- cargo nextest run --workspace --locked "$@"
    else
        say "(cargo-nextest is not installed: using cargo test)"
        checked "$stores" stores -- cargo test --workspace --lib --bins --tests --locked "$@"
    fi
}
