"""Bodies: what their headers say, how they are unpacked, and what those under way hold together."""

import asyncio
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import InvalidRequest
from forecasting.inference_protocol.messages import MAX_BODY_BYTES
from serving.http_body import (
    MAX_UNFINISHED_BYTES,
    BodyReader,
    HttpError,
    read_headers,
    unpack,
)
from serving.work_queue import Busy

PACK = {b"gzip": gzip.compress, b"deflate": zlib.compress}


@pytest.mark.parametrize("encoding", PACK)
def test_what_was_packed_is_unpacked_up_to_the_limit(encoding):
    for length in (0, 1, 1_000, MAX_BODY_BYTES):
        plain = b"{" * length
        assert unpack(PACK[encoding](plain), encoding) == plain
    with pytest.raises(HttpError, match="1048576 bytes when unpacked") as caught:
        unpack(PACK[encoding](b"{" * (MAX_BODY_BYTES + 1)), encoding)
    assert caught.value.status == 413


@pytest.mark.parametrize("encoding", PACK)
def test_a_body_that_unpacks_to_a_hundred_megabytes_takes_few(encoding):
    packer = zlib.compressobj(wbits=31 if encoding == b"gzip" else 15)
    zeros = bytes(1_000_000)
    packed = b"".join(packer.compress(zeros) for _ in range(100)) + packer.flush()
    assert len(packed) < MAX_BODY_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(HttpError):
            unpack(packed, encoding)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BODY_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda packed: b"plain text", "must be .* data: Error -3"),
        (lambda packed: b"", "must be complete: its 0 bytes"),
        (lambda packed: packed[:-1], "end before their end mark"),
        (lambda packed: packed + b"more", "4 bytes follow its end"),
        (lambda packed: packed + packed, "follow its end"),
        (lambda packed: packed[:-6] + b"\0" + packed[-5:], "must be .* data|must be complete"),
    ],
)
def test_what_is_not_one_whole_stream_is_refused(encoding, damage, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        unpack(damage(PACK[encoding](b'{"inputs": []}' * 9)), encoding)


@given(st.binary(max_size=200), st.sampled_from(list(PACK)))
def test_any_bytes_are_unpacked_or_refused(data, encoding):
    try:
        plain = unpack(data, encoding)
    except InvalidRequest:
        return
    assert PACK[encoding](plain)[:1] == data[:1]


@pytest.mark.parametrize("value", [b"gzip", b"GZIP", b" deflate ", b"x-gzip"])
def test_gzip_and_deflate_are_taken(value):
    assert read_headers([(b"content-encoding", value)])[1] == value.strip().lower()
    assert read_headers([(b"content-encoding", b"identity")])[1] == b""


@pytest.mark.parametrize("values", [[b"br"], [b"gzip, gzip"], [b"gzip", b"gzip"], [b"\xff"]])
def test_another_encoding_is_refused_with_those_that_are_taken(values):
    with pytest.raises(HttpError, match="gzip or deflate") as caught:
        read_headers([(b"content-encoding", value) for value in values])
    assert caught.value.status == 415
    assert caught.value.headers == ((b"accept-encoding", b"gzip, deflate"),)


class Caller:
    """Sends a body in parts, each when it is released."""

    def __init__(self, *parts):
        self.messages = asyncio.Queue()
        for part in parts:
            self.send(part)

    def send(self, part, *, more=True):
        self.messages.put_nowait({"type": "http.request", "body": part, "more_body": more})

    def leave(self):
        self.messages.put_nowait({"type": "http.disconnect"})


def test_bodies_under_way_hold_a_bounded_memory_together_and_give_it_back():
    async def run():
        reader, part = BodyReader(), b"b" * (MAX_BODY_BYTES // 2)
        callers = [Caller(part) for _ in range(MAX_UNFINISHED_BYTES // len(part))]
        reading = [asyncio.create_task(reader.read(caller.messages.get)) for caller in callers]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="wait for their rest"):
            await reader.read(Caller(part).messages.get)
        whole = Caller()
        whole.send(b"small", more=False)
        assert await reader.read(whole.messages.get) == b"small"
        callers[0].send(b"end", more=False)
        assert await reading[0] == part + b"end"
        callers[1].leave()
        with pytest.raises(ConnectionError):
            await reading[1]
        next_one = Caller(part)
        next_one.send(b"", more=False)
        assert await reader.read(next_one.messages.get) == part
        for task in reading:
            task.cancel()

    asyncio.run(run())


def test_a_body_in_parts_is_refused_as_soon_as_it_is_too_long():
    async def run():
        caller = Caller(b"b" * MAX_BODY_BYTES, b"b")
        with pytest.raises(HttpError) as caught:
            await BodyReader().read(caller.messages.get)
        assert caught.value.status == 413

    asyncio.run(run())
