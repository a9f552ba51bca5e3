"""Tensors as raw bytes and texts: what does not fit its shape is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import InvalidRequest
from forecasting.inference_protocol.tensors import (
    pack_texts,
    unpack_texts,
)
from tests.unit.forecasting.inference_protocol.test_messages import STAMPS, binary_body, refusal


def test_raw_bytes_must_fit_the_shape():
    raw, json_length = binary_body(STAMPS._replace(shape=(3,)))
    assert "16 bytes for shape [3]" in refusal(raw, json_length)


@pytest.mark.parametrize(
    "raw", [b"\x01", b"\x05\x00\x00\x00AB", b"\xff\xff\xff\xffA", b"\x01\x00\x00\x00\xff"]
)
def test_a_damaged_text_tensor_is_refused(raw):
    with pytest.raises(InvalidRequest):
        unpack_texts(raw, "symbols")


@given(st.lists(st.text(max_size=20)))
def test_packed_texts_unpack_to_themselves(texts):
    assert unpack_texts(pack_texts(texts), "symbols") == texts
