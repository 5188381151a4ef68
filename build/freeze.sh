#!/bin/sh
# Makes the frozen application for machines without Python, Linux: the folder .work/freeze/stemsteer
# with the command, the shipped models and the plugins, packed as
# dist/stemsteer-VERSION-linux-MACHINE.tar.zst; with --deb as a Debian package, too, and with
# --spleeter it carries Spleeter's models (MIT), for which a network is needed once. What has not
# changed since the last time is not made again. Build on the oldest system that is to run it.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh

deb='' spleeter=''
for option; do
    case $option in
    --deb) deb=yes ;;
    --spleeter) spleeter=yes ;;
    *) fail "freeze.sh: unknown option $option: there are --deb and --spleeter" ;;
    esac
done
place=.work/freeze
plugins=.work/freeze-plugins
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
name=stemsteer-$version-linux-$(uname -m)

# made_of PATH...: a number for what is in files and folders.
made_of() {
    find "$@" -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 cksum |
        cksum | tr -d ' '
}
is_of() { [ "$(cat "$1/made-of" 2>/dev/null)" = "$2" ]; }

have() { ls -d "$@" >/dev/null 2>&1; }
lacking=
command -v g++ make >/dev/null || lacking="$lacking g++ make"
have /usr/share/dpf || lacking="$lacking dpf-source"
have /usr/include/xcb/xcb.h && have /usr/include/cairo/cairo-xcb.h ||
    lacking="$lacking libxcb1-dev libcairo2-dev"  # the plugin's window
command -v zstd >/dev/null || lacking="$lacking zstd"
have /usr/lib/*/libpython3*.so.1.0 || lacking="$lacking libpython3-dev"
# shellcheck disable=SC2086 -- a list of words
[ -z "$lacking" ] || debian $lacking || fail "freezing needs the Debian packages$lacking"

made=$(made_of plugin_bridge/plugin/cpp)
if ! is_of "$plugins" "$made"; then
    rm -rf "$plugins"
    mkdir -p "$plugins"
    built=$(mktemp -d)  # the path of this folder may have spaces, which make does not take
    trap 'rm -rf "$built"' EXIT
    make -s -C plugin_bridge/plugin/cpp -j 2 OUT="$built" >"$built/log" 2>&1 ||
        fail "building the plugin failed: $(tail -n 3 "$built/log")"
    rm -rf "$built/.work" "$built/log"
    cp -r "$built/." "$plugins"
    echo "$made" >"$plugins/made-of"
fi

made=$(made_of pyproject.toml build/freeze.sh build/stemsteer.spec realtime plugin_bridge \
    models_onnx/weights)$spleeter
if ! is_of "$place" "$made"; then
    environment .venv ".[live,panel,cluster,discovery,models,freeze]"
    rm -rf "$place"
    STEMSTEER_PLUGINS="$PWD/$plugins" .venv/bin/python -m PyInstaller --noconfirm \
        --log-level ERROR --workpath "$place/work" --distpath "$place" build/stemsteer.spec >&2
    rm -rf "$place/work"
    [ -z "$spleeter" ] || .venv/bin/python build/add-spleeter.py \
        "$place/stemsteer/_internal/models_onnx/weights" .work/downloads
    echo "$made" >"$place/made-of"
fi

# The same files give the same bytes.
mkdir -p dist
if [ ! -e "dist/$name.tar.zst" ] || [ "$place/made-of" -nt "dist/$name.tar.zst" ]; then
    tar -C "$place" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 \
        --transform "s,^stemsteer,stemsteer-$version," -cf - stemsteer |
        zstd -q -6 -T0 -f -o "dist/$name.tar.zst.part"
    mv "dist/$name.tar.zst.part" "dist/$name.tar.zst"
fi
say "dist/$name.tar.zst: $(du -m "dist/$name.tar.zst" | cut -f 1) MB"

if [ -n "$deb" ]; then
    root=$place/deb
    rm -rf "$root"
    mkdir -p "$root/DEBIAN" "$root/opt" "$root/usr/bin"
    cp -r "$place/stemsteer" "$root/opt/stemsteer-$version"
    ln -s "/opt/stemsteer-$version/stemsteer" "$root/usr/bin/stemsteer"
    cat >"$root/DEBIAN/control" <<CONTROL
Package: stemsteer
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: The makers of Stemsteer <stemsteer@localhost>
Depends: libc6 (>= $(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2))
Recommends: libportaudio2, libxcb1, libcairo2
Section: sound
Priority: optional
Description: takes one sound out of a stereo mix
 Point at a sound, by where it is in the stereo field or by what it is, and have it alone: as
 files, live, and on a track of a DAW.
CONTROL
    dpkg-deb --root-owner-group -Zzstd -z6 --build "$root" "dist/$name.deb" >/dev/null
    rm -rf "$root"
    say "dist/$name.deb: $(du -m "dist/$name.deb" | cut -f 1) MB"
fi
