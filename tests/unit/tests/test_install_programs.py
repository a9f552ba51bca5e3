"""Programs that tests need: what is missing, who is asked, what is installed, and what is said."""

import hashlib
import http.server
import io
import os
import re
import shutil
import tarfile
import threading
from pathlib import Path

import pytest

from tests import apt, install_programs, programs, releases
from tests.programs import PROGRAMS
from tests.releases import HELM, KIND, NotBrought, Release

COMMANDS = {name: shutil.which(name) for name in ("cat", "env", "install", "rm")}


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine where no program is, and nobody has said anything yet; a folder for programs."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(programs, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(programs, "FOLDERS", ())
    for variable in ("CI", "YES"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def executable(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_missing_program_skips_its_test_with_a_remedy_and_fails_it_in_ci(bare, monkeypatch):
    executable(bare / "apt-get", "")
    with pytest.raises(pytest.skip.Exception, match=r"`make programs`.*apt-get install chromium"):
        programs.program("chromium")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="chromium is not installed"):
        programs.program("chromium")


@pytest.mark.parametrize("manager", ["apt-get", "brew", ""])
def test_no_remedy_names_a_package_that_is_not_there(bare, manager):
    if manager:
        executable(bare / manager, "")
    said = {one.name: programs.remedy(one) for one in PROGRAMS}
    assert said["helm"].endswith("by hand: https://helm.sh/docs/intro/install")
    assert ("apt-get install postgresql" in said["initdb"]) == (manager == "apt-get")
    assert ("brew install postgresql@17" in said["initdb"]) == (manager == "brew")
    # Neither brings what it has no package of.
    by_brew = said["prometheus-pushgateway"].startswith("`make programs`")
    assert by_brew == (manager == "apt-get")


def test_a_program_on_the_path_is_taken_before_the_one_we_brought(bare):
    helm = programs.named("helm")
    programs.TOOLS.mkdir()
    ours = executable(programs.TOOLS / "helm", "")
    assert programs.find(helm) == str(ours)
    theirs = executable(bare / "helm", "")
    assert programs.find(helm) == str(theirs)


def test_what_has_no_package_here_is_brought_by_us_or_left(bare):
    executable(bare / "brew", "")
    wanted = install_programs.plan(PROGRAMS, manager_may=True)
    assert wanted.packages == ("google-chrome", "libfaketime", "postgresql@17", "prometheus")
    assert wanted.releases == (HELM, KIND)
    assert [one.name for one in wanted.left] == ["prometheus-pushgateway"]
    assert install_programs.plan(PROGRAMS, manager_may=False).packages == ()


class Terminal(io.StringIO):
    """Somebody at a terminal, who types this."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("user", "said", "typed", "installs", "asked"),
    [
        (0, "", None, True, False),
        (0, "0", None, False, False),
        (1000, "", None, False, False),
        (1000, "1", None, True, False),
        (1000, "", "y\n", True, True),
        (1000, "", "n\n", False, True),
        (1000, "", "\n", False, True),
        (1000, "", "", False, True),
    ],
)
def test_root_and_yes_are_not_asked_and_nothing_is_installed_without_consent(
    monkeypatch, bare, user, said, typed, installs, asked
):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if said:
        monkeypatch.setenv("YES", said)
    screen = io.StringIO() if typed is None else Terminal()
    monkeypatch.setattr("sys.stdin", io.StringIO() if typed is None else Terminal(typed))
    monkeypatch.setattr("sys.stdout", screen)
    wanted = install_programs.plan(PROGRAMS, manager_may=False)
    assert install_programs.may_install(wanted) == installs
    assert ("Install them?" in screen.getvalue()) == asked


@pytest.mark.parametrize("ci", [False, True])
def test_what_cannot_be_installed_is_told_and_ends_only_ci(bare, monkeypatch, capsys, ci):
    executable(bare / "apt-get", 'case "$*" in *install*) echo no room left; exit 100;; esac')
    for command in ("env", "install", "rm"):
        (bare / command).symlink_to(COMMANDS[command])
    monkeypatch.setattr(apt, "POLICY", bare / "policy-rc.d")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(releases, "downloaded", _unreachable)
    monkeypatch.setattr(releases, "built", _unreachable)
    if ci:
        monkeypatch.setenv("CI", "true")
    assert install_programs.main() == int(ci)
    said = capsys.readouterr().out
    for part in (
        "no room left",
        "no network",
        "helm is not installed",
        "kind is not installed",
    ):
        assert part in said, part


def _unreachable(*_):
    raise NotBrought("the address is not known")


@pytest.mark.parametrize("apt_fails", [False, True])
@pytest.mark.parametrize("theirs", [False, True])
def test_no_service_starts_while_apt_installs_and_the_policy_is_then_as_it_was(
    monkeypatch, bare, apt_fails, theirs
):
    policy, seen = bare.parent / "policy-rc.d", bare.parent / "seen"
    monkeypatch.setattr(apt, "POLICY", policy)
    if theirs:
        policy.write_text("theirs")
    executable(
        bare / "apt-get",
        f'case "$*" in *install*) cat {policy} >{seen}; exit {100 if apt_fails else 0};; esac',
    )
    for command in ("env", "install", "rm", "cat"):
        (bare / command).symlink_to(COMMANDS[command])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if apt_fails:
        with pytest.raises(apt.AptFailed, match="apt-get could not install postgresql"):
            apt.install(["postgresql"], print)
    else:
        apt.install(["postgresql"], print)
    assert seen.read_text() == ("theirs" if theirs else "#!/bin/sh\nexit 101\n")
    assert policy.exists() == theirs


@pytest.fixture
def served():
    """Serves bytes over HTTP; an address of none."""
    content = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path in content else 404)
            self.end_headers()
            self.wfile.write(content.get(self.path, b""))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield (
        lambda path, data: content.update({path: data}) or f"http://127.0.0.1:{server.server_port}"
    )
    server.shutdown()
    thread.join()
    server.server_close()


def archive(member, data):
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as file:
        entry = tarfile.TarInfo(member)
        entry.size = len(data)
        file.addfile(entry, io.BytesIO(data))
    return written.getvalue()


def test_a_release_is_used_only_if_it_has_the_pinned_checksum(served, tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "machine", lambda: {"system": "linux", "processor": "amd64"})
    good = archive("linux-amd64/tool", b"#!/bin/sh\necho ours\n")
    root = served("/good-v1.0.0", good)
    served("/bad-v1.0.0", archive("linux-amd64/tool", b"#!/bin/sh\necho theirs\n"))
    pinned = {"linux-amd64": hashlib.sha256(good).hexdigest()}

    def release(kind):
        address = f"{root}/{kind}-{{version}}"
        return Release("tool", "v1.0.0", address, "{system}-{processor}/tool", pinned, "m")

    def from_source(_, target):
        target.write_bytes(b"from source")

    monkeypatch.setattr(releases, "built", from_source)
    said = []
    releases.bring(release("good"), said.append, tmp_path)
    assert (tmp_path / "tool").read_bytes().endswith(b"echo ours\n")
    assert os.access(tmp_path / "tool", os.X_OK)
    for kind, why in (("bad", "is not used: its SHA-256 is"), ("absent", "404")):
        releases.bring(release(kind), said.append, tmp_path)
        assert (tmp_path / "tool").read_bytes() == b"from source", kind
        assert why in said[-1]


def test_the_pins_are_of_every_machine_that_developers_have():
    for one in (HELM, KIND):
        assert set(one.checksums) == {
            f"{system}-{processor}"
            for system in ("linux", "darwin")
            for processor in ("amd64", "arm64")
        }
        assert all(len(bytes.fromhex(digest)) == 32 for digest in one.checksums.values())
        assert len(set(one.checksums.values())) == 4


def test_every_program_that_a_test_asks_for_is_in_the_catalogue():
    here = Path(__file__).parents[2]
    asked = {
        name
        for file in here.rglob("*.py")
        if file != Path(__file__)
        for name in re.findall(r'\bprogram\("([^"]+)"', file.read_text())
    }
    assert asked <= {name for one in PROGRAMS for name in one.names}
    assert len(asked) > 5
