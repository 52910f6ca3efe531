#!/bin/sh
# Run the tests without a display: scripts/run_tests.sh [pytest arguments]   (with QT=pyside6 for that binding)
# The slow ones are left out; SLOW=1 runs these alone.
set -eu
cd "$(dirname "$0")/.."

QT=${QT:-pyqt6}
VENV=${VENV:-.venv}
export QT_API="$QT" PYTEST_QT_API="$QT"
export LIBGL_ALWAYS_SOFTWARE=1 # the same pictures on every machine
export NO_AT_BRIDGE=1
# A process for each core, up to four; every file's tests run in one of them, each computing on one thread.
# To look into one test: scripts/run_tests.sh -n 0 tests/test_x.py
set -- -n auto --maxprocesses 4 --dist loadfile "$@"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if [ -n "${SLOW:-}" ]; then chosen="slow"; else chosen="not slow"; fi

if [ "$(uname -s)" != Linux ]; then
    exec "$VENV/bin/python" -m pytest -m "$chosen" "$@"
elif command -v xvfb-run >/dev/null 2>&1 && command -v xauth >/dev/null 2>&1; then
    unset WAYLAND_DISPLAY QT_QPA_PLATFORM
    exec xvfb-run -a -s "-screen 0 1366x768x24" "$VENV/bin/python" -m pytest -m "$chosen" "$@"
elif [ -n "${DISPLAY:-}" ]; then
    echo "Xvfb is not installed: the tests' windows open on your display $DISPLAY." >&2
    exec "$VENV/bin/python" -m pytest -m "$chosen" "$@"
else
    echo "Neither Xvfb nor a display is here: the tests that open a window are left out. Install xvfb to run them." >&2
    export QT_QPA_PLATFORM=offscreen
    exec "$VENV/bin/python" -m pytest -m "not gui and $chosen" "$@"
fi
