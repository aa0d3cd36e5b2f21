#!/bin/sh
# Shows that the history checker (load/FAULTS.md) finds faults: planted.sh [SEEDS]. Plants one fault after another into a
# copy of the tree, builds the program of that copy, and lets the checker play at most SEEDS (20) seeds over it.
# Ends at the first fault that is not found, and where a fault can no longer be planted.
set -eu
. "$(dirname "$0")/checks.sh"

seeds="${1:-20}"
need_everything
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

begin "the checker"
cargo build --quiet --release --package load --bin load --locked
checker="$CARGO_TARGET_DIR/release/load"

# plant NAME FILE SED: a fault is a line that differs.
plant() {
    begin "planted: $1"
    rm -rf "$copy/tree"
    mkdir "$copy/tree"
    git ls-files -z | xargs -0 cp --parents -t "$copy/tree"
    sed -i "$3" "$copy/tree/$2"
    ! cmp -s "$2" "$copy/tree/$2" || fail "the fault can no longer be planted: $2 has no such line"
    (cd "$copy/tree" && cargo build --quiet --release --package sallyport --bin sallyport --locked \
        --target-dir "$CARGO_TARGET_DIR/planted")
    if "$checker" faults --quiet --stop-at-first --seeds "1..$seeds" \
        --binary "$CARGO_TARGET_DIR/planted/release/sallyport" >"$copy/found"; then
        fail "not found within $seeds seeds"
    fi
    grep -A 2 -m 1 '^VIOLATION' "$copy/found"
    tail -n 4 "$copy/found"
}

plant "a commit without its log entry" src/store/redis/scripts/commit.lua \
    "s/^if added > 0 then id = redis.call('XADD'.*/&\nif added > 0 then redis.call('XDEL', KEYS[2], id) end/"
plant "an older image replaces a newer row" src/store/postgres/statements.rs \
    's/WHERE t.ver < excluded.ver"/WHERE t.ver <> excluded.ver"/'
plant "a row brought back over what Redis knows" src/store/redis/scripts/hydrate.lua \
    's/^if value then$/if false then/'
plant "a code of an authenticator that counts twice" src/auth/second_factor/shown_code.rs \
    '/method.last_step = step;/d'

finish
