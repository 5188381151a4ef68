# Sourced by the scripts beside it: makes .venv with Stemsteer inside, on a machine that has only
# Python >= 3.10 and git. Where a Debian package is missing it is installed if that is allowed,
# otherwise named.

say() { printf '%s\n' "$*" >&2; }
fail() { say "stemsteer: $*"; exit 1; }

find_python() {
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            printf '%s' "$name"
            return
        fi
    done
    fail "Python >= 3.10 is not here; install it (Debian, Ubuntu: apt install python3 python3-venv)," \
        "or name it: PYTHON=/path/to/python3 sh $0"
}

# provide LIST: install what is not here of a list like debian-packages.txt, and name what still is
# not; with STEMSTEER_HOST_TESTS=required that is a failure.
provide() {
    packages=$(missing "$1" | cut -d " " -f 2 | sort -u)
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086 -- a list of words
    debian $packages || true
    missing "$1" | while read -r what package why; do say "MISSING: $package ($what): $why"; done
    [ -n "$(missing "$1")" ] || return 0
    [ "${STEMSTEER_HOST_TESTS:-}" != required ] ||
        fail "STEMSTEER_HOST_TESTS=required, but the Debian packages above are not here"
    say "TESTS WILL BE SKIPPED for the Debian packages above"
}

# missing LIST: its lines whose command or path (* stands for anything) is not here.
missing() {
    while read -r what package why; do
        case $what in
        "" | "#") continue ;;
        /*) ls -d $what >/dev/null 2>&1 && continue ;;
        *) command -v "$what" >/dev/null && continue ;;
        esac
        printf '%s %s %s\n' "$what" "$package" "$why"
    done <"$1"
}

# debian PACKAGE...: install Debian packages when we may, otherwise say which are missing. One that
# cannot be installed is named and keeps none of the others away.
debian() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" = 0 ]; then root=""; elif sudo -n true 2>/dev/null; then root="sudo -n"; else
        say "Debian packages missing: $*. Install them: sudo apt-get install $*"
        return 1
    fi
    say "installing Debian packages: $*"
    $root apt-get -qq update >/dev/null 2>&1 || say "apt-get update failed; trying what is known"
    apt_install "$@" >/dev/null && return
    for package; do
        said=$(apt_install "$package") || say "cannot install $package: $(echo "$said" | tail -n 1)"
    done
}

apt_install() {
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
        install -y --no-install-recommends "$@" 2>&1
}

# environment FOLDER REQUIREMENT: a virtual environment holding the requirement, made only once
# for the same pyproject.toml. Prints pip's words only when something goes wrong.
environment() {
    python=$(find_python) || exit 1
    stamp="$1/made-for-$( (cat pyproject.toml; printf '%s' "$2") | cksum | tr -d ' ')"
    [ -e "$stamp" ] && return
    if ! "$python" -m venv "$1" >/dev/null 2>&1; then
        debian python3-venv || true
        "$python" -m venv --clear "$1" >/dev/null ||
            fail "$python cannot make a virtual environment; install python3-venv, then run this again"
    fi
    say "installing $2 into $1 (the first time takes a few minutes)"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$2" >&2 ||
        fail "installing failed, see above; a network or a local package index is needed once"
    touch "$stamp"
}
