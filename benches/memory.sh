#!/usr/bin/env bash
# Prints the peak memory of slimming a generated image of 1 GB: `benches/memory.sh [SCALE] [PROFILE]`.
# Needs GNU time (Debian package `time`). Fails when the peak is over 150 MB.
set -euo pipefail
cd "$(dirname "$0")/.."
scale=${1:-mid}
profile=${2:-minimal}
limit=150000 # kilobytes

cargo build --quiet --release --locked --bin winslim --example sample
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
target/release/examples/sample "$work/base" --scale "$scale"
/usr/bin/time --format '%M %e' --output "$work/time" \
    target/release/winslim --cache-dir "$work/cache" build "oci:$work/base:ltsc2019" -p "$profile" -t "oci:$work/slim:slim"
read -r kilobytes seconds <"$work/time"
echo "scale $scale, profile $profile: peak memory $((kilobytes / 1000)) MB, $seconds s"
if [ "$kilobytes" -gt "$limit" ]; then
    echo "peak memory is over $((limit / 1000)) MB" >&2
    exit 1
fi
