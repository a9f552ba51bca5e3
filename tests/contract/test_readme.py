"""The README speaks of the program as it is: settings, commands, files."""

import re
from pathlib import Path

from typer.main import get_command

from bellwether.cli import app
from forecasting.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_every_setting_is_in_the_configuration_table_and_no_other():
    documented = set(re.findall(r"^\| `BELLWETHER_([A-Z_]+)`", README, re.MULTILINE))
    assert documented == {name.upper() for name in Settings.model_fields}


def test_every_command_is_in_the_table_of_commands():
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    documented = set(re.findall(r"^\| `([a-z]+)[ `]", README, re.MULTILINE))
    assert commands <= documented


def test_every_file_and_picture_it_links_to_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    missing = [link for link in links if not (Path(__file__).parents[2] / link).exists()]
    assert links
    assert missing == []


def test_every_folder_of_the_map_is_there():
    folders = re.findall(r"^\| `([a-z_/]+)/` \|", README, re.MULTILINE)
    assert len(folders) > 8
    assert [f for f in folders if not (Path(__file__).parents[2] / f).is_dir()] == []
