# Shared by run.sh and test.sh: goes to the project, finds cargo, installs what is missing.
# Sourced, not run; plain POSIX shell. Never starts, stops or configures a service of the system.

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# HOME may be missing where no shell logged in (containers, cron). Tools below need one.
if [ -z "${HOME:-}" ]; then
    HOME=$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6)
    [ -n "$HOME" ] && [ -d "$HOME" ] || HOME=/tmp
    export HOME
fi
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
export PATH

cd "$(dirname "$0")/.." || exit 1

# Outside of the project, so that it outlives a clone and never gets into one.
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/sallyport/target}"
export CARGO_TARGET_DIR

need_cargo() {
    command -v cargo >/dev/null 2>&1 && cargo --version >/dev/null 2>&1 && return
    say "Rust is missing. Get it for this user with rustup (https://rustup.rs):"
    say ""
    say "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    say ""
    fail "install Rust, then run this again"
}

# need_program PROGRAM PACKAGE: remembers the package when the program is not there.
missing=""
need_program() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

has_postgres() {
    command -v "${PG_BIN:+$PG_BIN/}postgres" >/dev/null 2>&1 && return
    for program in /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$program" ] && return
    done
    return 1
}

has_headers() {
    printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
        cc -x c - -o /dev/null >/dev/null 2>&1
}

need_packages() {
    missing=""
    has_postgres || missing="$missing postgresql"
    need_program "${REDIS_BIN:+$REDIS_BIN/}redis-server" redis-server
    has_headers || missing="$missing build-essential"
    [ -z "$missing" ] || install_packages $missing
    has_postgres || fail "PostgreSQL is still missing (is it elsewhere? set PG_BIN to the folder of its programs)"
}

# The mail server of the tests is a Python package; the tests start the system's Python, too.
has_mail_server() {
    /usr/bin/python3 -c 'import aiosmtpd' >/dev/null 2>&1
}

# A Python environment of the tests' own, outside of the project, with a validator of OpenAPI documents.
test_python="${XDG_CACHE_HOME:-$HOME/.cache}/sallyport/python"
has_openapi_validator() {
    "$test_python/bin/python" -c 'import importlib.metadata as m, openapi_spec_validator
assert m.version("openapi-spec-validator") == "0.9.0"' >/dev/null 2>&1
}

need_openapi_validator() {
    has_openapi_validator && return
    say "installing: openapi-spec-validator (PyPI), into $test_python"
    rm -rf "$test_python"
    /usr/bin/python3 -m venv "$test_python" &&
        "$test_python/bin/pip" install --quiet --disable-pip-version-check openapi-spec-validator==0.9.0 ||
        fail "the installation failed"
    has_openapi_validator || fail "$test_python still has no openapi-spec-validator"
}

has_nginx() {
    command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ]
}

# What only the tests need, and nobody here wrote: a mail server, a proxy, a second opinion on TOTP, a validator of
# OpenAPI documents.
need_test_packages() {
    missing=""
    has_mail_server || missing="$missing python3-aiosmtpd"
    need_program oathtool oathtool
    has_nginx || missing="$missing nginx-light"
    /usr/bin/python3 -c 'import ensurepip' >/dev/null 2>&1 || missing="$missing python3-venv"
    [ -z "$missing" ] || install_packages $missing
    has_mail_server || fail "/usr/bin/python3 still has no aiosmtpd"
    need_openapi_validator
}

# Debian's packages make and start services after installing where they can. For the time of the
# installation that is forbidden; what was there before is not touched.
install_packages() {
    command -v apt-get >/dev/null 2>&1 ||
        fail "please install by hand, this is not a Debian or Ubuntu:$(printf ' %s' "$@")"
    say "installing:$(printf ' %s' "$@")"
    as_root sh -s -- "$@" <<'INSTALL' || fail "the installation failed"
set -eu
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d/sallyport.conf
ours=""
trap 'rm -f $ours' EXIT
if [ ! -e "$policy" ]; then
    ours="$policy"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
# Keeps postgresql-common from making a cluster that nobody asked for.
mkdir -p "${clusters%/*}"
echo 'create_main_cluster = false' >"$clusters"
ours="$ours $clusters"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo "apt-get update failed; trying with what is known" >&2
apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@" >&2
INSTALL
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        fail "need root (or sudo) for the installation"
    fi
}
