"""A server knows a copy by the number in the gateway's header, and nothing else makes it one."""

import pytest

from serving.mirroring import MAX_GATEWAY_ID, NOT_MIRRORED, Mirroring, of_headers, of_metadata

ID = "5f0b8a0e-0e0c-4a50-8f0f-5b5fd6a1a7b1"


def both(shadow, gateway_id):
    """What is read of the same headers over REST and over gRPC."""
    said = {"bellwether-shadow": shadow, "x-request-id": gateway_id, "host": "f"}
    metadata = [(name, value) for name, value in said.items() if value is not None]
    headers = [(name.encode(), value.encode("latin-1")) for name, value in metadata]
    assert of_headers(headers) == of_metadata(metadata)
    return of_headers(headers)


def test_the_shadow_has_the_copy_and_every_other_version_the_users_request():
    mirroring = both("4", ID)
    assert mirroring == Mirroring("4", ID)
    assert mirroring.is_copy("4")
    assert not mirroring.is_copy("3")


def test_without_the_gateways_header_nothing_is_a_copy():
    assert both(None, ID) == NOT_MIRRORED
    assert not NOT_MIRRORED.is_copy("")
    assert of_metadata(None) == NOT_MIRRORED
    assert of_metadata([("grpc-trace-bin", b"\0")]) == NOT_MIRRORED


@pytest.mark.parametrize("shadow", ["", "four", "-4", "²", "4 "])
def test_a_header_that_names_no_version_makes_no_copy(shadow):
    assert both(shadow, ID) == NOT_MIRRORED


@pytest.mark.parametrize("gateway_id", [None, "", "x" * (MAX_GATEWAY_ID + 1), "a\0b", "é"])
def test_an_id_that_the_log_could_not_keep_is_left_out(gateway_id):
    assert both("4", gateway_id) == Mirroring("4", "")
