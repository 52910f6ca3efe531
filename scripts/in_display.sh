#!/bin/sh
# Run a command that opens windows on a virtual screen of 1366 x 768: scripts/in_display.sh COMMAND...   (needs Xvfb)
set -eu
export QT_API="${QT:-pyqt6}" LIBGL_ALWAYS_SOFTWARE=1 NO_AT_BRIDGE=1
export NAPARI_CONFIG= # napari reads it when it is imported: its defaults, and nothing of them is saved
unset WAYLAND_DISPLAY QT_QPA_PLATFORM
if ! command -v xvfb-run >/dev/null 2>&1; then
    echo "Xvfb is not installed (Debian, Ubuntu: apt install xvfb xauth): the pictures have one size and one look under it alone." >&2
    exit 1
fi
exec xvfb-run -a -s "-screen 0 1366x768x24" "$@"
