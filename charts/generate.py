"""Write what follows from each chart's values.yaml: values.schema.json and the tables of its README.

    python charts/generate.py [--check]

A comment `# --` above a key says what it means; a line `# @schema {...}` adds to the type that the
default has. Every object is closed: an unknown key is refused. The keys of `settings` and their
types are those of `forecasting.settings.Settings`, less what the chart sets itself. The table of
what charts/kubeflow-pipelines does otherwise than upstream follows from its differences.yaml.
"""

# ruff: noqa: INP001 - a script beside the charts, not a package

import ast
import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from forecasting.settings import Settings

CHARTS: Final = Path(__file__).parent
NAMES: Final = ("bellwether", "kubeflow-pipelines", "kubeflow-pipelines-crds")
DOCS: Final = CHARTS.parent / "docs"
ADDRESSES: Final = frozenset(
    {
        "state_dir", "lake_url", "registry_url", "registry_public_url", "registered_model",
        "bundle_url", "bundle_digest", "bundle_signature", "signing_key", "trusted_keys", "model_version", "server_host", "http_port", "grpc_port",
        "inference_url", "prediction_log_url", "pushgateway_url", "page_host", "page_port",
        "page_root_path", "page_login", "page_user_header", "page_readers", "page_trainers", "page_operators", "page_trains", "page_approvals", "versions_on_demand", "pipelines_url", "pipelines_public_url", "tiingo_token", "tinvest_token",
    }
)  # fmt: skip
"""Settings that the chart derives from other values, that each pod has of its own, or that no pod has."""

TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
QUANTITY: Final = {"type": ["string", "integer"], "pattern": "^[0-9]+(\\.[0-9]+)?(m|[kMGT]i?)?$"}
AMOUNTS: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"cpu": QUANTITY, "memory": QUANTITY, "ephemeral-storage": QUANTITY},
}
DEFINITIONS: Final = {
    "resources": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"requests": AMOUNTS, "limits": AMOUNTS},
    },
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "schedule": {"type": "string", "pattern": "^(@[a-z]+|[^ ]+( [^ ]+){4})$"},
    "image": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "registry": {"type": "string"},
            "repository": {"type": "string", "minLength": 1},
            "tag": {"type": "string"},
            "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
        },
    },
}

Schema = dict[str, Any]


def schema(chart: Path) -> Schema:
    """The JSON schema of a chart's values.yaml."""
    text = (chart / "values.yaml").read_text()
    values = _object(_root(text), text.splitlines())
    values["properties"]["global"] = {"type": "object", "description": "Helm's own; not used."}
    used = json.dumps(values)
    definitions = {name: entry for name, entry in DEFINITIONS.items() if f"#/$defs/{name}" in used}
    head = {"$schema": "http://json-schema.org/draft-07/schema#"}
    return {**head, **({"$defs": definitions} if definitions else {}), **values}


def readme(chart: Path) -> str:
    """A chart's README: README.md.in with its tables filled in."""
    text = (chart / "README.md.in").read_text()
    tables = {"@flows@": _flows_table, "@values@": _values_table, "@rules@": _rules_list}
    for mark, table in tables.items():
        if mark in text:
            text = text.replace(mark, table(chart))
    return text


def differences() -> str:
    """docs/kubeflow-pipelines.md with its list of differences to upstream written anew."""
    text = (DOCS / "kubeflow-pipelines.md").read_text()
    listed = yaml.safe_load((CHARTS / "kubeflow-pipelines" / "differences.yaml").read_text())
    rows = [
        f"| {', '.join(f'`{name}`' for name in entry['objects'])} | {entry['what']} | {entry['why']} |"
        for entry in listed
    ]
    table = "\n".join(["| object | difference | why |", "|---|---|---|", *rows])
    start, end = "<!-- differences -->", "<!-- /differences -->"
    before, after = text.split(start)[0], text.split(end)[1]
    return f"{before}{start}\n\n{table}\n\n{end}{after}"


def camel(name: str) -> str:
    """`stale_after_seconds` as values write it: `staleAfterSeconds`."""
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


def _root(text: str) -> yaml.MappingNode:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise SystemExit("values.yaml must be a mapping")
    return root


def _object(node: yaml.MappingNode, lines: list[str]) -> Schema:
    properties = {key.value: _value(key, value, lines) for key, value in node.value}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _value(key: yaml.Node, node: yaml.Node, lines: list[str]) -> Schema:
    description, added = _comment(key.start_mark.line, lines)
    described = {"description": description} if description else {}
    if added.pop("settings", False):
        return {**described, **_settings()}
    if added.pop("open", False):
        return {**described, "type": "object"}
    if "ref" in added:
        return {**described, "$ref": f"#/$defs/{added['ref']}"}
    if isinstance(node, yaml.MappingNode):
        return {**described, **_object(node, lines), **added}
    default = yaml.safe_load(yaml.serialize(node))
    return {**described, "type": TYPES[type(default)], **added}


def _comment(line: int, lines: list[str]) -> tuple[str, Schema]:
    """What the comment right above a line says, and what it adds to the schema."""
    above: list[str] = []
    while line > 0 and (text := lines[line - 1].strip()).startswith("#"):
        above.insert(0, text.lstrip("#").strip())
        line -= 1
    sentences: list[str] = []
    added: Schema = {}
    described = False
    for text in above:
        if text.startswith("@schema"):
            added = yaml.safe_load(text.removeprefix("@schema"))
        else:
            described |= text.startswith("--")
            sentences.append(text.removeprefix("--").strip())
    return (" ".join(sentences) if described else ""), added


def _settings() -> Schema:
    """The keys of `settings`, with the types and limits of the program's own settings."""
    fields = Settings.model_json_schema()["properties"]
    limits = ("type", "minimum", "maximum", "exclusiveMinimum")
    properties = {
        camel(name): {
            "description": description,
            **{key: fields[name][key] for key in limits if key in fields[name]},
        }
        for name, description in _setting_docs().items()
        if name not in ADDRESSES
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _setting_docs() -> dict[str, str]:
    """Each field of Settings and the sentence below it."""
    source = Path(__file__).parents[1] / "forecasting" / "settings.py"
    body = next(
        part for part in ast.parse(source.read_text()).body if isinstance(part, ast.ClassDef)
    ).body
    return {
        field.target.id: doc.value.value
        for field, doc in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
        and isinstance(doc.value.value, str)
    }


def _values_table(chart: Path) -> str:
    text = (chart / "values.yaml").read_text()
    rows: list[str] = []
    _rows(_root(text), text.splitlines(), "", rows)
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])


def _rows(node: yaml.MappingNode, lines: list[str], prefix: str, rows: list[str]) -> None:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        description, _ = _comment(key.start_mark.line, lines)
        if description:
            default = json.dumps(yaml.safe_load(yaml.serialize(value)))
            rows.append(f"| `{path}` | `{default}` | {description.replace('|', chr(92) + '|')} |")
        elif isinstance(value, yaml.MappingNode):
            _rows(value, lines, f"{path}.", rows)
        else:
            raise SystemExit(f"values.yaml: every key needs a `# --` sentence: {path} has none")


def _flows_table(chart: Path) -> str:
    flows = yaml.safe_load((chart / "flows.yaml").read_text())
    rows = [
        f"| {', '.join(flow['from'])} | {flow['to']} | {flow['why']} | "
        f"{'`' + flow['when'] + '`' if 'when' in flow else ''} |"
        for flow in flows
    ]
    return "\n".join(["| from | to | for | only with |", "|---|---|---|---|", *rows])


def _rules_list(chart: Path) -> str:
    """What requirements.yaml refuses: the first sentence of each message."""
    text = (chart / "templates" / "requirements.yaml").read_text()
    messages = re.findall(r'fail (?:\(printf )?"((?:[^"\\]|\\.)*?): found', text)
    plain = (message.replace("%s", "...").replace("%q", "...") for message in messages)
    return "\n".join(f"- {message}" for message in plain)


def main() -> None:
    """Write the files, or with --check say which are stale."""
    files = {DOCS / "kubeflow-pipelines.md": differences()}
    for chart in (CHARTS / name for name in NAMES):
        files[chart / "values.schema.json"] = json.dumps(schema(chart), indent=2) + "\n"
        files[chart / "README.md"] = readme(chart)
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        names = ", ".join(str(path) for path in stale)
        sys.exit(f"stale: {names}; run `make charts`" if stale else 0)
    for path in stale:
        path.write_text(files[path])


if __name__ == "__main__":
    main()
