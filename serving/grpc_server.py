"""KServe's gRPC server with the V2 service, gRPC's own health and reflection, and limits."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]
from grpc_reflection.v1alpha.reflection import (  # type: ignore[import-untyped]
    SERVICE_NAME as REFLECTION,
)
from grpc_reflection.v1alpha.reflection import enable_server_reflection

from forecasting.errors import InvalidRequest, InvalidSettings
from forecasting.inference_protocol.messages import MAX_BODY_BYTES
from forecasting.inference_protocol.tensors import quoted
from serving.call_time import MESSAGE_SECONDS, MessageTime, Method
from serving.kserve_parts import GRPCServer
from serving.predictor import Predictor
from serving.v2_grpc import SERVICE, V2Service, guarded

HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

MAX_MESSAGE_BYTES: Final = 2 * MAX_BODY_BYTES
"""A message wraps its body."""

MAX_CALLS: Final = 256
"""Calls under way, those whose message has not come yet among them."""

LIMITS: Final[Sequence[tuple[str, int]]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16_384),
    ("grpc.absolute_max_metadata_size", 32_768),
    ("grpc.max_concurrent_streams", 64),
    ("grpc.max_allowed_incoming_connections", 256),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.max_connection_age_ms", 600_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.so_reuseport", 0),
)


class UnknownService(InvalidRequest):
    """The server has no service of that name."""

    status = 404


class HealthService:
    """grpc.health.v1.Health: `Check` of the whole server or of the V2 service.

    `Watch` is not served: clients that get UNIMPLEMENTED stop asking, and no stream stays open.

    Args:
        predictor: knows whether it would answer.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def methods(self) -> dict[str, Method]:
        """The method, by its name."""
        return {"Check": guarded(health_pb2.HealthCheckRequest, self._check)}

    async def _check(self, request: Any, _context: Any) -> Any:
        if request.service not in {"", SERVICE}:
            raise UnknownService(
                "a service must be one the server has", quoted(request.service), f"Known: {SERVICE}"
            )
        healthy = self._predictor.live() and await self._predictor.healthy()
        kinds = health_pb2.HealthCheckResponse
        return kinds(status=kinds.SERVING if healthy else kinds.NOT_SERVING)


class V2GrpcServer(GRPCServer):  # type: ignore[misc]
    """KServe's gRPC server with our services, and no log line per call.

    Args:
        service: the V2 methods.
        health: the health of the server.
        count: told the reason of each call that is ended before a method sees it.
        host: address to listen on.
        port: port to listen on.
        grace_seconds: how long calls may go on when the server stops.
        message_seconds: how long a call's message may take to come.
    """

    def __init__(
        self,
        service: V2Service,
        health: HealthService,
        count: Callable[[str], None],
        host: str,
        port: int,
        grace_seconds: int,
        message_seconds: float = MESSAGE_SECONDS,
    ) -> None:
        super().__init__(port, None, None, {}, grace_period=grace_seconds)
        self._host = f"[{host}]" if ":" in host else host
        self.message_time = MessageTime(count, message_seconds)
        self._handlers = (
            self.message_time.service(SERVICE, service.methods()),
            self.message_time.service(HEALTH, health.methods()),
        )

    async def start(self, max_workers: int = 1) -> None:
        """Serve until stopped.

        Raises:
            InvalidSettings: the port cannot be listened to.
        """
        self._server = grpc.aio.server(
            ThreadPoolExecutor(max_workers), options=LIMITS, maximum_concurrent_rpcs=MAX_CALLS
        )
        self._server.add_generic_rpc_handlers(self._handlers)
        enable_server_reflection((SERVICE, HEALTH, REFLECTION), self._server)
        try:
            self._server.add_insecure_port(f"{self._host}:{self._port}")
        except RuntimeError as error:
            raise InvalidSettings(
                "the gRPC port must be free",
                f"{self._port}: {error}",
                "Stop what listens there, or set BELLWETHER_GRPC_PORT",
            ) from error
        await self._server.start()
        await self._server.wait_for_termination()
