"""pyproject.toml states the version; what repeats it follows."""

import re
import tomllib

import pytest
import yaml

from components.image import IMAGE
from tests.releases import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("chart", ["charts/bellwether", "charts/platform/foundation"])
def test_our_charts_are_for_the_version_of_the_package(chart):
    facts = yaml.safe_load((ROOT / chart / "Chart.yaml").read_text())
    assert str(facts["appVersion"]) == VERSION, f"write appVersion: {VERSION}, then make golden"


def test_steps_run_in_the_image_of_this_version():
    tag = IMAGE.rpartition(":")[2]
    assert tag == VERSION, "write it in components/image.py, then make golden"


def test_the_newest_heading_of_the_changelog_is_this_version_or_unreleased():
    headings = re.findall(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in {"Unreleased", VERSION}
    assert VERSION in headings


def test_the_changelog_names_the_version_of_our_chart():
    chart = yaml.safe_load((ROOT / "charts/bellwether/Chart.yaml").read_text())["version"]
    assert f"Chart `bellwether` {chart}." in (ROOT / "CHANGELOG.md").read_text()
