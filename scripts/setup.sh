#!/bin/sh
# Make .venv ready: scripts/setup.sh demo | test | lint | site   (with QT=pyside6 for the other Qt binding)
#
# Installs only what is missing; a second call takes a moment. Where something cannot be installed it says what to
# install and goes on as far as possible. Packages come from wherever pip is configured to look.
set -eu
cd "$(dirname "$0")/.."

GOAL=${1:-demo}
QT=${QT:-pyqt6}
VENV=${VENV:-.venv}

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: false where that would ask for a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

# apt_install PACKAGE...: quietly false where this is not Debian or Ubuntu, or may not be done.
apt_install() {
    have apt-get && as_root true || return 1
    say "Installing system packages: $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1 && return
    as_root apt-get update -q >/dev/null 2>&1 || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-python3.11 python3 python3.12 python3.13 python}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            say "$name"
            return
        fi
    done
    warn "Python 3.11 or newer was not found (looked for ${PYTHON:-python3.11, python3, python3.12, python3.13, python})."
    warn "Install it, or name one that is installed: make ${GOAL} PYTHON=/path/to/python3.11"
    return 1
}

make_venv() {
    if "$VENV/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then return; fi
    python=$(find_python)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && ! apt_install "python$version-venv"; then
        warn "Python $version here cannot make virtual environments. On Debian and Ubuntu: apt install python$version-venv"
        exit 1
    fi
    say "Creating $VENV with Python $version"
    "$python" -m venv --clear "$VENV"
}

# --- what Qt and OpenGL need from the system, on Linux -------------------------------------------------------------

LIBRARIES="libEGL.so.1:libegl1 libGL.so.1:libgl1 libOpenGL.so.0:libopengl0 libGLX_mesa.so.0:libglx-mesa0
libxkbcommon-x11.so.0:libxkbcommon-x11-0 libxcb-cursor.so.0:libxcb-cursor0 libxcb-icccm.so.4:libxcb-icccm4
libxcb-keysyms.so.1:libxcb-keysyms1 libxcb-shape.so.0:libxcb-shape0 libxcb-xinerama.so.0:libxcb-xinerama0
libxcb-image.so.0:libxcb-image0 libxcb-render-util.so.0:libxcb-render-util0 libxcb-randr.so.0:libxcb-randr0
libxcb-xkb.so.1:libxcb-xkb1 libdbus-1.so.3:libdbus-1-3 libfontconfig.so.1:libfontconfig1
libglib-2.0.so.0:libglib2.0-0"

# Packages of the libraries that the loader does not find, by Debian's names.
missing_libraries() {
    ldconfig=ldconfig
    have ldconfig || ldconfig=/sbin/ldconfig
    known=$($ldconfig -p 2>/dev/null || true)
    [ -n "$known" ] || return 0 # not a glibc system: nothing to tell
    for pair in $LIBRARIES; do
        case "$known" in *"${pair%%:*} "*) ;; *) printf '%s ' "${pair##*:}" ;; esac
    done
    [ "$GOAL" = demo ] && return 0
    have xvfb-run || printf 'xvfb '
    have xauth || printf 'xauth '
}

# The demo needs them only where it can open a window; the linters never do.
needs_window() {
    [ "$(uname -s)" = Linux ] || return 1
    case "$GOAL" in
        test) return 0 ;;
        demo) [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] ;;
        *) return 1 ;;
    esac
}

install_libraries() {
    needs_window || return 0
    packages=$(missing_libraries)
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086
    apt_install $packages && return 0
    warn "These system packages (names of Debian and Ubuntu) are missing and could not be installed:"
    warn "    $packages"
    warn "Install them as root, for example: apt-get install $packages"
    case "$GOAL" in
        demo) warn "Going on: the demo computes and saves without them, but napari's window may not open." ;;
        *) warn "Going on: tests that open a window will be left out if there is no Xvfb." ;;
    esac
}

# --- Python packages -----------------------------------------------------------------------------------------------

pip_install() { "$VENV/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt "$@"; }

# The site is built beside .venv, without what the package itself needs.
install_site() {
    stamp="$VENV/.ready-site-$(cat pyproject.toml constraints.txt scripts/setup.sh | cksum | cut -d' ' -f1)"
    [ -f "$stamp" ] && return 0
    say "Installing what builds the site into $VENV"
    pip_install pip
    pip_install --group site
    : >"$stamp"
}

install_packages() {
    case "$GOAL" in
        demo) set -- "$QT" ;;
        test) set -- "train,synthetic,onnx,cluster,dicom,video,$QT" --group test ;;
        lint) set -- "train,synthetic,onnx,cluster,dicom,video,$QT" --group dev ;;
        site) install_site; return ;;
        *) warn "Usage: scripts/setup.sh demo|test|lint|site"; exit 2 ;;
    esac
    extras=$1
    shift
    stamp="$VENV/.ready-$GOAL-$QT-$(cat pyproject.toml constraints.txt scripts/setup.sh | cksum | cut -d' ' -f1)"
    [ -f "$stamp" ] && return 0
    say "Installing the pinned Python packages into $VENV (the first time takes some minutes)"
    pip_install pip hatchling hatch-vcs hatch-fancy-pypi-readme editables # a pip that knows dependency groups; the build tools, pinned too
    pip_install torch
    pip_install --no-build-isolation -e ".[$extras]" "$@"
    : >"$stamp"
}

[ "$GOAL" = site ] && VENV="$VENV-site"
make_venv
install_libraries
install_packages
