#!/bin/sh
# Runs everything on this machine: installs what is missing, builds, starts `sallyport dev`.
# Arguments go to `sallyport dev`; settings are environment variables (see docs/settings.md).
set -eu
. "$(dirname "$0")/setup.sh"

need_cargo
need_packages
cargo build --release --locked --bin sallyport
exec "$CARGO_TARGET_DIR/release/sallyport" dev "$@"
