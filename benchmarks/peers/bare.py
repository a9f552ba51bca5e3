"""The two ceilings: an HTTP echo, and the model call behind the barest HTTP loop.

uvloop and httptools with nothing between them: what any Python server pays at least.
Usage: python bare.py PORT [MODEL.onnx]
"""

import asyncio
import sys

import httptools
import orjson
import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Bare(asyncio.Protocol):
    session = None
    input_name = ""

    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        body, self.body = self.body, b""
        if self.session is None or not body:
            answer = body or b"{}"
        else:
            import numpy as np

            rows = np.asarray(orjson.loads(body)["inputs"][0]["data"], dtype=np.float32)
            out = self.session.run(None, {self.input_name: rows.reshape(1, -1)})[0]
            answer = orjson.dumps(
                {"outputs": [{"name": "predict", "shape": out.shape, "data": out.ravel()}]},
                option=orjson.OPT_SERIALIZE_NUMPY,
            )
        self.transport.write(HEAD % len(answer) + answer)


async def main(port):
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port)
    await server.serve_forever()


if len(sys.argv) > 2:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    Bare.session = onnxruntime.InferenceSession(sys.argv[2], options)
    Bare.input_name = Bare.session.get_inputs()[0].name
uvloop.run(main(int(sys.argv[1])))
