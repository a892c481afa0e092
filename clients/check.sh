#!/usr/bin/env bash
# Packs both clients as a registry would get them, installs the packages where nothing else of them is, and uses them. Wants what
# .ci/run installs for the tests of the clients.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fails() { printf 'check: %s\n' "$*"; exit 1; }

python=$PWD/../target/clients-venv/bin/python
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work" ./python
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-index "$work"/forename-*.whl
(
    cd "$work"
    PYTHONDONTWRITEBYTECODE=1 venv/bin/python - <<'END'
import importlib.metadata, pathlib
import forename
from forename import Client
from forename.webhooks import verify
assert (pathlib.Path(forename.__file__).parent / "py.typed").is_file(), "no types"
files = {str(path) for path in importlib.metadata.files("forename") or ()}
assert any("LICENSE-MIT" in path for path in files), files
assert not any("tests" in path or "examples" in path for path in files), files
try:
    Client("http://127.0.0.1:9").cluster()
except forename.Unreachable as error:
    print("python:", error)
END
) || fails "the package for Python"

tarball=$(cd typescript && npm pack --silent --pack-destination "$work")
mkdir "$work/npm"
(
    cd "$work/npm"
    npm init --yes >/dev/null
    npm install --silent --no-audit --no-fund --ignore-scripts "$work/$tarball"
    cat >use.mjs <<'END'
import { existsSync, readdirSync } from "node:fs";
import { Client, Unreachable, verify } from "forename";
const there = readdirSync("node_modules/forename");
for (const file of ["README.md", "LICENSE-MIT", "LICENSE-APACHE"]) if (!there.includes(file)) throw new Error(`no ${file}`);
if (!existsSync("node_modules/forename/dist/src/index.d.ts")) throw new Error("no types");
if (there.includes("test") || existsSync("node_modules/forename/dist/test")) throw new Error("the tests are in it");
if (typeof verify !== "function") throw new Error("no verify");
try {
  await new Client("http://127.0.0.1:9").cluster();
} catch (error) {
  if (!(error instanceof Unreachable)) throw error;
  console.log("typescript:", error.message);
}
END
    node use.mjs
) || fails "the package for npm"
