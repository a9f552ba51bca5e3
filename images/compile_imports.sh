#!/bin/sh
# Makes bytecode of what an image imports; what the layers below lack of it goes into the image's own.
#
#   compile_imports.sh MODULE...
set -eu
before=$(mktemp)
/opt/bellwether/bin/python -c "import $(echo "$@" | tr ' ' ',')"
for layer in /opt/bellwether /model /tables; do
  [ ! -d "$layer" ] || (cd "$layer" && find . -name '*.pyc' -newer "$before" -exec cp -p --parents {} /own \;)
done
