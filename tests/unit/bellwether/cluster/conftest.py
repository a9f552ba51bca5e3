import json
import sys
from pathlib import Path

import pytest

SCRIPT = """#!{python} -ISE
import json, sys
from pathlib import Path
folder = Path({folder!r})
line = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
given = sys.stdin.read() if "-" in sys.argv else ""
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps([line, given]) + chr(10))
for words, out, err, code in reversed(json.loads((folder / "answers").read_text())):
    if all(word in line for word in words):
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
"""


class Programs:
    """kubectl, helm and kind as the PATH has them: they note what they were called with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._answers = []
        (folder / "answers").write_text("[]")
        for name in ("kubectl", "helm", "kind"):
            program = folder / name
            program.write_text(SCRIPT.format(python=sys.executable, folder=str(folder)))
            program.chmod(0o755)

    def answer(self, *words, out="", err="", code=0):
        """What a call with all these words in it is answered; the last that fits counts."""
        text = out if isinstance(out, str) else json.dumps(out)
        self._answers.append((words, text, err, code))
        (self._folder / "answers").write_text(json.dumps(self._answers))

    def calls(self, *words):
        """Command lines with all these words in them, in order."""
        return [line for line, _ in self._noted() if all(word in line for word in words)]

    def read(self, *words):
        """What the one call with all these words in it was given as standard input."""
        (given,) = self.given(*words)
        return given

    def given(self, *words):
        """What each call with all these words in it was given as standard input."""
        return [given for line, given in self._noted() if all(word in line for word in words)]

    def _noted(self):
        noted = self._folder / "calls"
        return (
            [json.loads(line) for line in noted.read_text().splitlines()] if noted.exists() else []
        )


@pytest.fixture
def programs(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("bellwether.cluster.kubectl.POLL_SECONDS", 0.01)
    return Programs(folder)


class Step:
    """A step that notes what it shows."""

    outcome = ""

    def __init__(self):
        self.shown = []

    def doing(self, what):
        self.shown.append(what)


@pytest.fixture
def step():
    return Step()
