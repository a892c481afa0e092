#!/usr/bin/env bash
# Builds everything that is handed out, and has each thing checked by the tool that will read it. The gate runs it; here a tool
# that is missing is an error, not a check less. Wants root, for the empty root in which the static binary runs.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(pwd)
work=$(mktemp -d)
node=
stop_node() {
    if [ -n "$node" ]; then
        kill -TERM "$node"
        wait "$node"
        node=
    fi
}
trap 'stop_node || true; rm -rf "$work"' EXIT
say() { printf '\n-- %s\n' "$*"; }
# The one thing of a system that the binary opens, as every container has it.
devices() {
    mkdir -p "$1/dev"
    mknod -m 444 "$1/dev/random" c 1 8
    mknod -m 444 "$1/dev/urandom" c 1 9
}
fails() { printf 'check: %s\n' "$*"; exit 1; }

say "the static binary"
deploy/build-static.sh
static=$root/target/static/forename
if readelf --sections --wide "$static" | grep -q ' \.symtab'; then fails "the binary is not stripped"; fi

say "an empty root, as nobody"
empty=$work/empty
mkdir -p "$empty/etc" "$empty/data"
devices "$empty"
cp "$static" "$empty/forename"
# A name that only the resolver knows: it works without the system's libraries too.
echo '127.0.0.1 node.test' >"$empty/etc/hosts"
chown 65534:65534 "$empty/data"
chmod 700 "$empty/data"
inside() { chroot --userspec=65534:65534 "$empty" /forename "$@"; }
inside init --data-dir /data
touch "$work/said"
(exec chroot --userspec=65534:65534 "$empty" /forename serve --data-dir /data --http 127.0.0.1:0 --peer 127.0.0.1:0 \
    --hosts node.test >"$work/said" 2>"$work/log") &
node=$!
for _ in $(seq 600); do
    if grep -q '^peer ' "$work/said"; then break; fi
    kill -0 "$node" 2>/dev/null || { cat "$work/log"; fails "the node has ended"; }
    sleep 0.1
done
export FORENAME_NODE
FORENAME_NODE=$(sed -n 's,^http://127.0.0.1,http://node.test,p' "$work/said")
inside status --ready
inside claim username/alice --owner ann --wait
inside status --check
stop_node
code=0
inside status --ready || code=$?
[ "$code" = 5 ] || fails "a node that does not run is ready, exit code $code"
unset FORENAME_NODE

say "manual pages and completions"
export PATH=$root/target/tools/bin:$PATH
command -v cargo-deb >/dev/null || cargo install --quiet --locked --version 3.8.0 --root "$root/target/tools" cargo-deb
deploy/build-deb.sh
hand=$root/target/static/hand
for page in "$hand"/man/*.1; do
    told=$(LC_ALL=C.UTF-8 MANPAGER=cat MANWIDTH=600 man --warnings --local-file "$page" 2>&1 >/dev/null) || true
    [ -z "$told" ] || fails "$page: $told"
done
bash -n "$hand/completions/bash"

say "the Debian package"
deploy/check-deb.sh

say "the service"
sed "s,/usr/bin/forename ,$static ," deploy/forename.service >"$work/forename.service"
told=$(systemd-analyze verify --man=no "$work/forename.service" 2>&1) || fails "$told"
[ -z "$told" ] || fails "$told"
systemd-analyze security --offline=true --no-pager --threshold=20 "$work/forename.service" | tail -n 1

say "the image"
image=(buildah --root "$work/images" --runroot "$work/run" --storage-driver vfs)
"${image[@]}" bud --quiet --format docker --isolation chroot -f deploy/Dockerfile -t forename target/static
"${image[@]}" inspect --type image --format '{{.Docker.Config.User}} {{.Docker.Config.Entrypoint}} {{.Docker.Config.Healthcheck.Test}}' forename | tee "$work/image"
[ "$(cat "$work/image")" = '65532:65532 [/forename] [CMD /forename status --ready]' ] || fails "the image is set up otherwise"
container=$("${image[@]}" from --pull-never forename)
mounted=$("${image[@]}" mount "$container")
[ "$(find "$mounted" -type f | wc -l)" = 1 ] || fails "the image has more than the binary"
devices "$mounted"
chroot --userspec=65532:65532 "$mounted" /forename init --data-dir /data

say "Compose and Kubernetes"
docker-compose -f deploy/compose.yaml config --quiet
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet kubernetes-validate==1.37.0
"$work/venv/bin/kubernetes-validate" --strict deploy/kubernetes/*.yaml

say "the crate"
told=$(cargo publish --dry-run --locked -p forename 2>&1) || { printf '%s\n' "$told"; exit 1; }
# The dry run itself warns that it uploads nothing, and that the simulator, which has a profile of its own here, is not in the
# package.
known='aborting upload due to dry run|profile package spec `forename-sim`'
if printf '%s\n' "$told" | grep '^warning' | grep -vE "$known"; then fails "cargo publish warns"; fi
say "all is well"
