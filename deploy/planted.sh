#!/bin/sh
# Shows that the history checker (load/FAULTS.md) finds faults: planted.sh [SEEDS]. Plants one fault after another into a
# copy of the tree, builds the program of that copy, and lets the checker play at most SEEDS (20) seeds over it.
# Ends at the first fault that is not found, and where a fault can no longer be planted.
set -eu
. "$(dirname "$0")/checks.sh"

seeds="${1:-20}"
need_everything
tree="$CARGO_TARGET_DIR/planted"
program="$CARGO_TARGET_DIR/debug/sallyport"
# The copy is compiled beside the project itself, so that only its own crates are; afterwards the program is the right one again.
trap 'rm -rf "$tree"; checked cargo build --quiet --workspace --bin sallyport --locked' EXIT

begin "the checker"
checked cargo build --quiet --workspace --bin load --locked

# plant NAME OPTION FILE SED [FILE SED]...: a fault is lines that differ. OPTION is one of the checker's, or empty.
plant() {
    begin "planted: $1"
    option="$2"
    shift 2
    mkdir -p "$tree"
    git ls-files -z | xargs -0 cp --parents -t "$tree"
    while [ $# -gt 0 ]; do
        sed -i "$2" "$tree/$1"
        ! cmp -s "$1" "$tree/$1" || fail "the fault can no longer be planted: $1 has no such line"
        shift 2
    done
    (cd "$tree" && cargo build --quiet --workspace --bin sallyport --locked)
    cp "$program" "$tree/program"
    if "$CARGO_TARGET_DIR/debug/load" faults --quiet --stop-at-first --seeds "1..$seeds" \
        --binary "$tree/program" ${option:+"$option"} >"$tree/found"; then
        fail "not found within $seeds seeds"
    fi
    grep -A 2 -m 1 '^VIOLATION' "$tree/found"
    tail -n 4 "$tree/found"
}

plant "a code of an authenticator that counts twice" "" src/auth/second_factor/shown_code.rs \
    's/method.last_step = step;/let _ = step;/'
plant "a commit without its log entry" "" src/store/redis/scripts/commit.lua \
    "s/^if added > 0 then id = redis.call('XADD'.*/&\nif added > 0 then redis.call('XDEL', KEYS[2], id) end/"
plant "an older image replaces a newer row" "" src/store/postgres/statements.rs \
    's/WHERE t.ver < excluded.ver"/WHERE t.ver <> excluded.ver"/'
# The marks that trim.lua leaves would mend it at the next flush.
plant "a row brought back over what Redis knows" --only=EmptyRedis,FlushAll,SlowPostgres \
    src/store/redis/scripts/hydrate.lua \
    's/^if value then$/if false then/
     s/^if redis.call(.HEXISTS.*$//' \
    src/store/redis/scripts/trim.lua \
    's/^    elseif not undone and is_older .*$/    elseif false then/'
plant "a repeat after an unknown outcome that is answered too early" --only=EmptyAfterPause src/store/redis/scripts/commit.lua \
    "s/^        pending\[#pending + 1\] = .*$//" src/store/writeback/adoption.rs \
    's/^        let flags = self.unknown.of(partition);$/&\n        if partition.0 < u8::MAX { return; }/'

finish
