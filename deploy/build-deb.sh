#!/usr/bin/env bash
# Makes a Debian package of the binary of deploy/build-static.sh, as target/static/forename_VERSION_ARCHITECTURE.deb. Any Debian
# of the same processor, or a system made of it, takes it, as the binary needs no library.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=target/static/forename
version=$("$binary" --version | sed -n '1s/^forename \([^ ]*\).*/\1/p')
architecture=$(dpkg --print-architecture)
package=target/static/forename_${version}_$architecture.deb
# The same input makes the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
umask 022

install -D -m 755 "$binary" "$tree/usr/bin/forename"
install -D -m 644 deploy/forename.toml "$tree/etc/forename/forename.toml"
install -D -m 644 deploy/forename.service "$tree/usr/lib/systemd/system/forename.service"
install -D -m 644 deploy/debian/sysusers.conf "$tree/usr/lib/sysusers.d/forename.conf"
install -D -m 644 deploy/debian/tmpfiles.conf "$tree/usr/lib/tmpfiles.d/forename.conf"
mkdir -p "$tree/usr/share/man/man1"
"$binary" man "$tree/usr/share/man/man1" >/dev/null
gzip -9n "$tree"/usr/share/man/man1/*.1
completions() { mkdir -p "$tree/$(dirname "$2")" && "$binary" completions "$1" >"$tree/$2"; }
completions bash usr/share/bash-completion/completions/forename
completions zsh usr/share/zsh/vendor-completions/_forename
completions fish usr/share/fish/vendor_completions.d/forename.fish
about=$tree/usr/share/doc/forename
mkdir -p "$about"
{
    printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: forename\n\nFiles: *\n'
    printf 'Copyright: the authors of forename\nLicense: Expat or Apache-2.0\n\nLicense: Expat\n'
    sed 's/^$/./; s/^/ /' LICENSE-MIT
    printf '\nLicense: Apache-2.0\n On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n'
} >"$about/copyright"
gzip -9n <CHANGELOG.md >"$about/changelog.gz"

mkdir "$tree/DEBIAN"
size=$(du -k --apparent-size -s "$tree" | cut -f 1)
sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$size/" deploy/debian/control >"$tree/DEBIAN/control"
echo /etc/forename/forename.toml >"$tree/DEBIAN/conffiles"
(cd "$tree" && find etc usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
for script in postinst prerm postrm; do install -m 755 "deploy/debian/$script" "$tree/DEBIAN/$script"; done
dpkg-deb --root-owner-group -Zxz -z2 --build "$tree" "$package"
