#!/bin/sh
# Tries the frozen application in a bare Debian without Python: renders, scans, plays a file live,
# installs the plugin, runs it in a host that starts the engine, upgrades beside it, and takes all
# away. Needs root, mmdebstrap and what build/freeze.sh needs; BARE=FILE.tar is a system made before.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
packed=dist/stemsteer-$version-linux-$(uname -m).tar.zst
[ -e "$packed" ] || fail "$packed is not here; make it: sh build/freeze.sh"
work=$PWD/.work/bare
root=$work/root
mkdir -p "$work"
bare=${BARE:-$work/bare.tar}
[ -e "$bare" ] || mmdebstrap --quiet --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$bare"

mounted() { mountpoint -q "$root/$1"; }
clean() {
    # Only what was started in this root: its processes have it as their root folder.
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/root")" != "$root" ] || kill "${process#/proc/}" 2>/dev/null || true
    done
    for place in dev/shm dev proc; do ! mounted "$place" || umount -l "$root/$place"; done
    rm -rf --one-file-system "$root"
}
trap clean EXIT
clean
mkdir -p "$root"
tar -C "$root" -xf "$bare" --exclude=./dev
rm -rf "$root"/usr/bin/python3* "$root"/usr/lib/python3*
mkdir -p "$root/dev" "$root/proc" "$root/try"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
mkdir "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
for node in null:3 zero:5 random:8 urandom:9; do mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"; done

zstd -dc "$packed" | tar -C "$root/opt" -xf -
cp build/demo/mix.flac "$root/try/"
cp build/try-frozen-inside.sh "$root/try/inside.sh"
g++ -std=c++17 -O1 -static-libstdc++ -static-libgcc -Iplugin_bridge/plugin/cpp \
    -I/usr/share/dpf/distrho/src -o "$root/try/host" tests/plugin/cpp/clap_player.cpp -ldl -lpthread
chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    sh /try/inside.sh "stemsteer-$version"
.venv/bin/stemsteer render build/demo/mix.flac --azimuth -30 --out "$work/source" --force >/dev/null
cmp "$work/source/target.flac" "$root/try/stems/target.flac"
cmp "$work/source/residual.flac" "$root/try/stems/residual.flac"
say "the stems are those of a render from Python, byte by byte"
