#!/usr/bin/env bash
# Makes a Debian package of the binary of deploy/build-static.sh, as target/static/forename_VERSION_ARCHITECTURE.deb. Any Debian
# of the same processor, or a system made of it, takes it, as the binary needs no library. What is in it stands in Cargo.toml,
# [package.metadata.deb]. Wants cargo-deb (cargo install cargo-deb --locked).
set -euo pipefail
cd "$(dirname "$0")/.."
binary=target/static/forename
hand=target/static/hand
rm -rf "$hand"
mkdir -p "$hand/man" "$hand/completions"
"$binary" man "$hand/man" >/dev/null
for shell in bash zsh fish; do "$binary" completions "$shell" >"$hand/completions/$shell"; done
host=$(rustc --print host-tuple 2>/dev/null || rustc -vV | sed -n 's/^host: //p')
# The same input makes the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
umask 022
cargo deb --quiet --no-build --no-strip --profile dist --target "$host" --output target/static/
