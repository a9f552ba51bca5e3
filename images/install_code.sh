#!/bin/sh
# Installs our own packages for one image into /code/IMAGE, byte-compiled.
#
#   install_code.sh IMAGE PACKAGE...
set -eu
image=$1
shift
source=$(mktemp -d)
cp -r pyproject.toml README.md LICENSE "$@" "$source"
# The build backend is one of the hashed tools; uv itself is not asked for anything else.
PYTHONPATH=/tools /tools/bin/uv pip install --quiet --offline --no-deps --no-build-isolation \
  --prefix "/code/$image" "$source"
python -m compileall -q --invalidation-mode unchecked-hash "/code/$image"
# Only with its package does the command work.
[ -d "$source/bellwether" ] || rm "/code/$image/bin/bellwether"
