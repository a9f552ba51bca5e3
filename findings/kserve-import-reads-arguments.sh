#!/usr/bin/env bash
# kserve 0.21.0: importing the package parses sys.argv with the model server's own options. A
# program that has an option of the same name but another kind of value, here --workers auto, ends
# with code 2 and the model server's usage before its own first line has run. Remedy: keep such
# options off sys.argv while kserve is imported, or import it in a process of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kserve==0.21.0
cat > "$work/program.py" <<'PYTHON'
import kserve

print("kserve was imported")
PYTHON
"$work/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep '^kserve '
"$work/venv/bin/python" "$work/program.py" --color auto
code=0
"$work/venv/bin/python" "$work/program.py" --workers auto 2> "$work/words" || code=$?
tail -1 "$work/words"
echo "exit code $code"
[ "$code" = 2 ] && grep -q "argument --workers: invalid int value: 'auto'" "$work/words"
