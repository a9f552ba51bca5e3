"""CONTRIBUTING, SECURITY, CHANGELOG and CODEOWNERS speak of the repository as it is."""

import re
import subprocess

import pytest
import yaml

from tests.releases import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
MAP = re.search(r"^## Map\n+```\n(.*?)^```", CONTRIBUTING, re.MULTILINE | re.DOTALL).group(1)


def mapped():
    """Folders of the map, from the repository's root, each with its line."""
    stack = []
    for line in MAP.splitlines():
        indent, name, duty = re.fullmatch(r"( *)([\w-]+)/ +(\S.*)", line).groups()
        del stack[len(indent) // 2 :]
        stack.append(name)
        yield "/".join(stack), duty


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_path_named_in_contributing_is_there():
    named = re.findall(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:md|toml))`", CONTRIBUTING)
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_module_that_the_readme_follows_a_price_through_is_there():
    readme = (ROOT / "README.md").read_text()
    table = readme.partition("### Follow one price")[2].partition("\n## ")[0]
    folder, modules = ROOT, []
    for path in re.findall(r"`([\w/]+\.py)`", table):  # a bare name is beside the one before
        module = ROOT / path if "/" in path else folder / path
        folder = module.parent
        modules.append(module)
    assert len(modules) > 10
    assert [str(module) for module in modules if not module.is_file()] == []


def test_every_folder_of_the_map_is_there_and_none_of_the_products_is_missing():
    folders = dict(mapped())
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
    files = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "forecasting/*.py", "serving/*.py", "bellwether/*.py"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    packages = {file.rpartition("/")[0] for file in files}
    assert packages - set(folders) == set()


def test_every_make_target_it_names_exists():
    named = {
        word for words in re.findall(r"`make ([\w -]+?)`", CONTRIBUTING) for word in words.split()
    }
    targets = set(re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= targets


def test_the_glossary_is_in_alphabetical_order_and_every_term_has_a_source():
    glossary = CONTRIBUTING.partition("## Glossary")[2]
    rows = [line.strip("| ").split(" | ") for line in glossary.splitlines() if line[:2] == "| "][1:]
    assert len(rows) >= 30
    assert all(len(row) == 3 and all(row) for row in rows)
    terms = [row[0].lower() for row in rows]
    assert terms == sorted(terms)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_every_value_of_the_chart_that_a_page_names_is_there(page):
    values = yaml.safe_load((ROOT / "charts/bellwether/values.yaml").read_text())
    named = re.findall(r"`([a-z]\w+\.[a-z]\w+)(?:: \w+)?`", (ROOT / page).read_text())
    named = [name for name in named if not name.endswith((".md", ".py", ".toml"))]
    assert named
    assert [name for name in named if name.split(".")[1] not in values[name.split(".")[0]]] == []


def test_every_owned_path_is_there_and_has_a_team():
    for line in (ROOT / ".github" / "CODEOWNERS").read_text().splitlines():
        if line and not line.startswith("#"):
            path, *owners = line.split()
            assert path == "*" or (ROOT / path.strip("/")).exists(), path
            assert owners
            assert all(re.fullmatch(r"@[\w-]+/[\w-]+", owner) for owner in owners)
