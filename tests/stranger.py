"""Sends a stranger's requests, several at a time, and counts how they were answered."""

import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from tests.routes import Try
from tests.time_limits import seconds

AT_A_TIME = 8


@dataclass
class Answers:
    """How the requests were answered.

    Attributes:
        classes: (host, class of the status) -> how many; class 0 is no answer.
        good: (host, method, path) of those answered by 2xx.
        defects: those answered by 500, which says that a server did not expect them.
    """

    classes: Counter[tuple[str, int]] = field(default_factory=Counter)
    good: set[tuple[str, str, str]] = field(default_factory=set)
    defects: set[tuple[str, str, str]] = field(default_factory=set)

    @property
    def sent(self) -> int:
        return self.classes.total()

    def lines(self) -> list[str]:
        """A line a host: how many requests, and how many of each class."""
        hosts = sorted({host for host, _ in self.classes})
        return [
            f"{host}: "
            + ", ".join(
                f"{count} x {kind}xx" if kind else f"{count} unanswered"
                for (of, kind), count in sorted(self.classes.items())
                if of == host
            )
            for host in hosts
        ]


def send(base_url: str, requests: Iterable[Try]) -> Answers:
    """Send all of them to one address; of each answer only the head is read: some never end."""
    answers, own = Answers(), threading.local()
    clients: list[httpx.Client] = []

    def one(request: Try) -> tuple[Try, int]:
        if not hasattr(own, "client"):
            own.client = httpx.Client(base_url=base_url, timeout=seconds(20))
            clients.append(own.client)
        headers = {"host": request.host, **request.headers}
        if request.body:
            headers["content-type"] = "application/json"
        try:
            with own.client.stream(
                request.method, request.path, headers=headers, content=request.body
            ) as answer:
                failed = answer.headers.get("grpc-status", "0") != "0"  # with a status of 200
                return request, httpx.codes.BAD_REQUEST if failed else answer.status_code
        except httpx.HTTPError:
            return request, 0

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for request, status in pool.map(one, requests):
            what = (request.host, request.method, request.path)
            answers.classes[request.host, status // 100] += 1
            if status // 100 == 2:
                answers.good.add(what)
            if status == httpx.codes.INTERNAL_SERVER_ERROR:
                answers.defects.add(what)
    for client in clients:
        client.close()
    return answers
