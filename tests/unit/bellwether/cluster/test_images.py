"""Which docker client builds, one with BuildKit before one without, and with which options."""

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from bellwether.cluster.images import (
    RECIPES,
    build_images,
    check_registry,
    client,
    publish_images,
    push,
    revision_tag,
)
from bellwether.console import Steps
from components.provenance import git_revision
from forecasting.errors import InvalidSettings, Unavailable

PLUGIN = '[ "$1" = buildx ] && { echo buildx 0.30; exit; }; echo Docker version 28.2.2'
NO_PLUGIN = '[ "$1" = buildx ] && exit 1; echo Docker version 28.2.2, build e6534b4'
BUILT_IN = '[ "$1" = buildx ] && exit 1; echo Docker version 20.10.24+dfsg1, build 297e128'
OTHER = '[ "$1" = buildx ] && exit 1; echo podman version 4.3.1'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts clients on the PATH, one in a folder each, in this order; their paths."""

    def install(*scripts):
        paths = []
        for number, script in enumerate(scripts):
            path = tmp_path / str(number) / "docker"
            path.parent.mkdir()
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
            paths.append(str(path))
        folders = [str(tmp_path / "none"), *(str(Path(path).parent) for path in paths)]
        monkeypatch.setenv("PATH", os.pathsep.join(folders))
        return paths

    return install


def test_a_client_with_the_plugin_needs_nothing_more(installed):
    first, _ = installed(PLUGIN, BUILT_IN)
    assert client() == (first, {})


@pytest.mark.parametrize("first", [NO_PLUGIN, OTHER])
def test_a_client_without_buildkit_is_passed_over(installed, first):
    _, second = installed(first, BUILT_IN)
    assert client() == (second, {"DOCKER_BUILDKIT": "1"})


def test_where_none_has_buildkit_the_first_builds_as_it_can(installed):
    installed(NO_PLUGIN, OTHER)
    assert client() == ("docker", {})


def test_where_there_is_none_the_build_will_say_so(installed):
    installed()
    assert client() == ("docker", {})


def test_an_image_is_built_with_its_version_and_revision(installed, tmp_path):
    log = tmp_path / "words"
    build = f'[ "$1" = build ] && printf "%s\\n" "$@" >{log}'
    size = '[ "$1" = image ] && echo 7 && exit'
    installed(f"{build}; {size}; {PLUGIN}")
    (image,) = build_images(tag="t", recipes=RECIPES[:1])
    assert (image.image, image.size) == ("bellwether/pipeline:t", 7)
    revision = git_revision()
    assert {
        f"--build-arg=GIT_REVISION={revision}",
        f"--label=org.opencontainers.image.revision={revision}",
        f"--label=org.opencontainers.image.version={version('bellwether')}",
    } < set(log.read_text().split("\n"))


# What docker 28.2.2 prints after a push of one image to two registries.
DIGEST = "sha256:" + "0f1e2d3c4b5a6978" * 4
OTHER_DIGEST = "sha256:" + "1234567890abcdef" * 4
INSPECTED = (
    f'["registry.example.org/other/ui@{OTHER_DIGEST}","registry.example.org/acme/ui@{DIGEST}"]'
)


def pushing(push_code=0, digests=INSPECTED):
    return (
        f'[ "$1" = push ] && {{ echo denied: requested access; exit {push_code}; }}; '
        f"[ \"$1\" = image ] && {{ echo '{digests}'; exit; }}; {PLUGIN}"
    )


def test_a_pushed_image_is_known_by_the_digest_of_its_own_repository(installed):
    installed(pushing())
    assert push("registry.example.org/acme/ui:1") == DIGEST


@pytest.mark.parametrize("digests", ["[]", "null", f'["registry.example.org/other/ui@{DIGEST}"]'])
def test_a_pushed_image_without_a_digest_is_not_installed(installed, digests):
    installed(pushing(digests=digests))
    with pytest.raises(Unavailable, match="a pushed image must have a digest in its registry"):
        push("registry.example.org/acme/ui:1")


def test_a_registry_that_takes_nothing_is_told_with_a_remedy(installed):
    installed(pushing(push_code=1))
    with pytest.raises(Unavailable, match="docker login") as refused:
        push("registry.example.org/acme/ui:1")
    assert "denied: requested access" in str(refused.value)


@pytest.mark.parametrize(
    "registry",
    ["localhost", "localhost:5000", "containers.example.org/acme", "r.example.org:5000/a/b-c"],
)
def test_a_registry_has_a_host(registry):
    assert check_registry(f"{registry}/") == registry


@pytest.mark.parametrize(
    "registry", ["", "acme", "https://r.example.org", "r.example.org/A", "a/b"]
)
def test_a_name_without_a_host_is_no_registry(registry):
    with pytest.raises(InvalidSettings, match="a registry is a host"):
        check_registry(registry)


def test_a_pushed_image_is_tagged_with_its_commit():
    assert git_revision().startswith(revision_tag()[:7])
    assert "+" not in revision_tag()


def test_images_are_built_and_pushed_and_installed_by_digest(installed):
    ends = {"pipeline": "a" * 64, "ui": "b" * 64, "serving": "c" * 64}
    digests = "".join(
        f"""*RepoDigests*/{part}:*) echo '["registry.example.org/acme/{part}@sha256:{end}"]';;"""
        for part, end in ends.items()
    )
    script = f"""
case "$*" in
  build*) ;;
  *Size*) echo 7;;
  "push registry.example.org/acme/"*) ;;
  {digests}
  *version*) echo Docker version 28.2.2;;
  *) exit 1;;
esac"""
    installed(script)
    settings = publish_images("registry.example.org/acme/", Steps())
    assert settings[0] == "images.registry="
    for part, end in ends.items():
        assert f"images.{part}.repository=registry.example.org/acme/{part}" in settings
        assert f"images.{part}.digest=sha256:{end}" in settings
