#!/usr/bin/env bash
# Builds the program without any library of the system's, as target/static/forename: it runs in an empty root, and on any Linux
# of the same processor. Beside it lies what the image of deploy/Dockerfile takes. Arguments go to cargo: --features otel.
set -euo pipefail
cd "$(dirname "$0")/.."
host=$(rustc --print host-tuple 2>/dev/null || rustc -vV | sed -n 's/^host: //p')
# With --target the flag is not used for build scripts and macros, which must stay dynamic.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --locked --profile dist --target "$host" --bin forename "$@"
mkdir -p target/static/data
chmod 700 target/static/data
cp "target/$host/dist/forename" target/static/forename
if ldd target/static/forename >/dev/null 2>&1 && ! ldd target/static/forename 2>&1 | grep -q 'statically linked'; then
    echo "target/static/forename wants libraries of the system's"
    exit 1
fi
ls -l target/static/forename
