# Functions of the benchmarks that start servers. Each script sources this file and runs with `set -euo pipefail`.

fail() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; exit 1; }

# Fails where a program is missing.
need() {
  local tool
  for tool in "$@"; do command -v "$tool" >/dev/null || fail "$tool is missing"; done
}

# Waits until a command succeeds, for a minute at most.
await() {
  for _ in $(seq 600); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "not ready: $*"
}
