#!/bin/sh
# Prints a digest of what winslim is built from: the key under which a CI system keeps the program.
set -eu
cd "$(dirname "$0")/.."
sha256() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}
find Cargo.toml Cargo.lock src profiles -type f | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cat | sha256 | cut -d ' ' -f 1
