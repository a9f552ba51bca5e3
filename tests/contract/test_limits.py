"""docs/limits.md says the limits that the program keeps."""

import re
from pathlib import Path

import yaml

from charts.generate import CHARTS
from forecasting.inference_protocol import messages, tensors
from gradio_app.gate import MAX_BODY
from serving import (
    call_time,
    grpc_server,
    http_body,
    http_protocol,
    on_demand,
    v2_rest,
    work_queue,
)
from serving.http_protocol import Limits

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()


def values(section):
    """The numbers in the second column of a section's table, in order."""
    rows = re.findall(r"^\| (?!limit|---).*?\|(.*?)\|", section, re.MULTILINE)
    return [int(number.replace(",", "")) for row in rows for number in re.findall(r"\d[\d,]*", row)]


def test_the_limits_of_http_are_those_of_the_page():
    limits = Limits()
    assert values(PAGE.split("## ")[1]) == [
        limits.head_bytes,
        limits.headers,
        limits.url_bytes,
        messages.MAX_BODY_BYTES,
        http_body.MAX_UNFINISHED_BYTES,
        limits.head_seconds,
        limits.body_seconds,
        limits.answer_seconds,
        limits.idle_seconds,
        limits.connections,
        limits.health_connections,
        limits.pipelined,
        limits.request_bytes,
    ]


def test_the_limits_of_requests_are_those_of_the_page():
    section = PAGE.split("## ")[2]
    assert values(section) == [
        messages.MAX_SYMBOLS,
        messages.MAX_BARS,
        tensors.MAX_TEXT,
        messages.MAX_ID,
        work_queue.MAX_UNDER_WAY,
        on_demand.MAX_WAITING,
        on_demand.REFUSED_SECONDS,
    ]
    assert f"more than {v2_rest.LIGHT_SYMBOLS} symbols" in section
    assert f"above {v2_rest.LIGHT_BODY:,} bytes" in section


def test_the_limits_of_grpc_are_those_of_the_page():
    options = dict(grpc_server.LIMITS)
    assert values(PAGE.split("## ")[3]) == [
        options["grpc.max_receive_message_length"],
        options["grpc.max_metadata_size"],
        call_time.MESSAGE_SECONDS,
        grpc_server.MAX_CALLS,
        options["grpc.max_concurrent_streams"],
        options["grpc.max_allowed_incoming_connections"],
        options["grpc.server_handshake_timeout_ms"] / 1_000,
        options["grpc.max_connection_idle_ms"] / 1_000,
        options["grpc.max_connection_age_ms"] / 1_000,
        options["grpc.max_connection_age_grace_ms"] / 1_000,
    ]


def test_every_reason_of_a_refusal_is_explained():
    section = PAGE.split("## ")[4]
    reasons = {*http_protocol.REASONS.values(), http_protocol.GAVE_WAY, *v2_rest._UNREAD.values()}
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == reasons


def test_the_limits_of_gateway_and_page_are_those_of_the_chart_and_the_program():
    section = PAGE.split("## ")[5]
    gateway, page = section.split("| limit of the page |")
    limits = yaml.safe_load((CHARTS / "bellwether" / "values.yaml").read_text())["gateway"][
        "limits"
    ]
    envoys = [100, 60]
    assert values(gateway) == [
        *envoys,
        limits["headSeconds"],
        limits["requestSeconds"],
        limits["idleSeconds"],
        limits["connections"],
        32,
        limits["streams"],
    ]
    assert values(page) == [MAX_BODY]


def test_the_page_says_when_a_server_is_dead():
    section = PAGE.split("## ")[6]
    assert f"computed for {work_queue.STUCK_SECONDS:g} s" in section
    assert f"finds {work_queue.MAX_UNDER_WAY} before it" in section
    assert f"`Retry-After: {work_queue.Busy.retry_after}`" in section
