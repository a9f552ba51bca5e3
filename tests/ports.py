"""Free ports, of which no two test processes of this machine are given the same."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below the ports that the system hands to whoever asks for any (from 32,768 on Linux), so that
# neither a server nor an outgoing connection takes one of these by chance.
_RANGE = range(20_000, 30_000)
_held = []


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, ours as long as this process lives."""
    folder = Path(tempfile.gettempdir()) / f"bellwether-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for port in random.sample(_RANGE, len(_RANGE)):
        handle = (folder / str(port)).open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:  # another test process's, or somebody listens there
            handle.close()
            continue
        _held.append(handle)
        return port
    raise AssertionError(f"no port of {_RANGE.start} to {_RANGE.stop} is free")
