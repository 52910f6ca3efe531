#!/bin/sh
# Print constraints.txt for what is installed in the virtual environment: scripts/pin.sh .venv
set -eu
echo "# The versions that are tested together, for Python 3.11 and newer. Written by \`make constraints\`."
# A local version such as torch's +cpu names one build of a release; the constraint is the release.
"$1/bin/python" -m pip freeze --all --exclude-editable --exclude setuptools --exclude wheel \
    --exclude napari-brain-tumor | sed 's/+[a-z0-9.]*$//' | grep '=='
