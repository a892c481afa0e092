#!/usr/bin/env bash
# Builds the Debian package of the static binary with cargo-deb, and installs, upgrades, removes and purges it in a root of its own. Wants root
# and that deploy/build-static.sh was run. deploy/check.sh runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fails() { printf 'check: %s\n' "$*"; exit 1; }

rm -f target/static/forename_*.deb
deploy/build-deb.sh
package=$(echo target/static/forename_*.deb)
sum=$(sha256sum <"$package")
deploy/build-deb.sh >/dev/null
[ "$sum" = "$(sha256sum <"$package")" ] || fails "a second build makes another package"

dpkg-deb --info "$package"
dpkg-deb --contents "$package" >"$work/contents"
if grep -vE ' (root/root|0/0) ' "$work/contents"; then fails "something is not root's"; fi
if grep -E '^-(.w|....w|.......w)' "$work/contents" | grep -vE '^-rw.r-.r-. |^-rwxr-xr-x '; then fails "somebody else may write it"; fi
for file in /usr/bin/forename /etc/forename/forename.toml /usr/lib/systemd/system/forename.service /usr/share/man/man1/forename.1.gz \
    /usr/share/man/man1/forename-serve.1.gz /usr/share/bash-completion/completions/forename /usr/share/zsh/vendor-completions/_forename \
    /usr/share/fish/vendor_completions.d/forename.fish /usr/share/doc/forename/copyright /usr/share/doc/forename/changelog.gz; do
    grep -q " \.$file\$" "$work/contents" || fails "the package lacks $file"
done
for script in deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm; do sh -n "$script"; done

# dpkg runs the scripts with DPKG_ROOT here, so they touch nothing of this system.
root=$work/root
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/etc"
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
there() {
    local code=0
    dpkg --root="$root" --log="$work/log" --force-script-chrootless --force-depends --force-confold "$@" >"$work/told" 2>&1 || code=$?
    # What the package depends on is not in this root.
    grep -vE 'dependency problems|depends on|is not installed|^ *$' "$work/told" || true
    return "$code"
}
there --install "$package" || fails "it cannot be installed"
(cd "$root" && md5sum --quiet --check var/lib/dpkg/info/forename.md5sums)
user=$(grep '^forename:' "$root/etc/passwd") || fails "there is no user"
[ "$(cut -d : -f 6 <<<"$user")" = /var/lib/forename ] || fails "the user lives elsewhere: $user"
grep -q ':/usr/sbin/nologin$' <<<"$user" || fails "the user may log in: $user"
[ "$(stat -c '%a %u' "$root/var/lib/forename")" = "700 $(cut -d : -f 3 <<<"$user")" ] || fails "the data directory is open"
chroot "$root" /usr/bin/forename --version

# Settings that were changed and the data outlive an upgrade; the data outlives the package.
echo 'name = "kept"' >>"$root/etc/forename/forename.toml"
touch "$root/var/lib/forename/kept"
there --install "$package" || fails "it cannot be upgraded"
tail -n 1 "$root/etc/forename/forename.toml" | grep -q kept || fails "an upgrade took the settings"
there --remove forename || fails "it cannot be removed"
[ -e "$root/etc/forename/forename.toml" ] && [ ! -e "$root/usr/bin/forename" ] || fails "not what was to go is gone"
there --purge forename || fails "it cannot be purged"
[ ! -e "$root/etc/forename/forename.toml" ] || fails "the settings stay"
[ -e "$root/var/lib/forename/kept" ] || fails "the data is gone"
left=$(find "$root" -type f -path '*forename*' ! -path "$root/var/lib/*")
[ -z "$left" ] || fails "left behind: $left"
