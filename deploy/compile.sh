#!/bin/sh
# Compiles one crate of ours; cargo calls it in place of rustc (RUSTC_WORKSPACE_WRAPPER, see checks.sh).
# The compiler is clippy, and rustdoc follows with the same arguments: lints, documentation and tests share one
# compilation of everything that they depend on.
set -eu

# document RUSTC ARGUMENT...: checks comments; of private items too, so that links to them lead somewhere.
document() {
    shift
    left=$#
    while [ "$left" -gt 0 ]; do
        argument=$1
        shift
        left=$((left - 1))
        case "$argument" in
        # The unit tests of a crate: its comments were read when the crate itself was compiled.
        --test) return ;;
        --emit=*) ;;
        -C | --out-dir)
            shift
            left=$((left - 1))
            ;;
        *) set -- "$@" "$argument" ;;
        esac
    done
    rustdoc "$@" --out-dir "$CARGO_TARGET_DIR/doc" --document-private-items \
        -D warnings -A rustdoc::private_intra_doc_links
}

clippy-driver "$@"
# Libraries and programs have the name of their package; tests, benches and fuzz targets do not.
if [ "${CARGO_CRATE_NAME:-}" = "${CARGO_PKG_NAME:-none}" ]; then
    document "$@"
fi
