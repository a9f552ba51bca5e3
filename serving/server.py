"""The model server's main: wires settings, model, REST and gRPC together, and runs them.

    python -m serving.server

It starts live but not ready, becomes ready when a verified bundle and features are loaded, and
on SIGTERM says not ready at once, finishes the calls under way, writes the prediction log and
ends with exit code 0.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any, Final

import uvicorn
import uvloop

from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.errors import BellwetherError, InvalidSettings
from forecasting.settings import Settings
from serving.acceptor import QuietUvicorn
from serving.grpc_server import HealthService, V2GrpcServer
from serving.http_protocol import Connections, Limits
from serving.kserve_parts import ModelServer, RESTServer, app, metrics_handler
from serving.predictor import Predictor
from serving.telemetry import Telemetry
from serving.v2_grpc import V2Service
from serving.v2_rest import V2Application

logger = logging.getLogger("bellwether.serving")

DRAIN_SECONDS: Final = 1.0
"""How long a stopping server still accepts calls while it says that it is not ready."""

GRACE_SECONDS: Final = 25
"""How long calls under way may take when the server stops."""


class V2RestServer(RESTServer):  # type: ignore[misc]
    """KServe's REST server with the V2 application in front and none of its middleware.

    Args:
        server: the model server around it.
        predictor: answers.
        server_version: of the server's metadata.
        host: address to listen on.
        limits: what callers may send, and how long they may take.
        telemetry: counts whom they refuse.
    """

    def __init__(
        self,
        server: ModelServer,
        predictor: Predictor,
        server_version: str,
        host: str,
        limits: Limits,
        telemetry: Telemetry,
    ) -> None:
        super().__init__(
            "kserve.model_server:app",
            server.dataplane,
            server.model_repository_extension,
            server.http_port,
        )
        self._connections = Connections(limits, telemetry.turned_away)
        self.config = uvicorn.Config(
            V2Application(predictor, server_version, app),
            host=host,
            port=server.http_port,
            log_config=None,
            access_log=False,
            http=self._connections.protocol,  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        self._server = QuietUvicorn(self.config)

    def _add_middlewares(self, app: Any) -> None:
        """None: timing each request by middleware costs more than answering it."""

    def _register_endpoints(self, app: Any) -> None:
        """Keep / and /metrics; KServe's own V1 and V2 are not served."""
        app.add_api_route("/", self.dataplane.live)
        app.add_api_route("/metrics", metrics_handler, methods=["GET"])

    async def start(self) -> None:
        """Serve until stopped.

        Raises:
            InvalidSettings: the port cannot be listened to.
        """
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.config.host, self.config.port))
        except OSError as error:
            listener.close()
            raise InvalidSettings(
                "the REST port must be free",
                f"{self.config.port}: {error}",
                "Stop what listens there, or set BELLWETHER_HTTP_PORT",
            ) from error
        self.create_application()
        self._connections.watch()
        try:
            await self._server.serve(sockets=[listener])
        finally:
            self._connections.stop()

    def stop(self, *, at_once: bool = False) -> None:
        """Take no new connections, and end when those there are have been answered."""
        self._server.should_exit = True
        self._server.force_exit = self._server.force_exit or at_once


class BellwetherServer(ModelServer):  # type: ignore[misc]
    """KServe's model server, on uvloop, that may start before a model is ready.

    Args:
        settings: ports, and all that the predictor needs.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            http_port=settings.http_port,
            grpc_port=settings.grpc_port or 1,
            workers=1,
            enable_grpc=settings.grpc_port > 0,
            grace_period=GRACE_SECONDS,
        )
        _configure_logging()
        self._host = settings.server_host
        self._limits = Limits(connections=settings.http_connections)
        self._telemetry = telemetry = Telemetry()
        self._log = PredictionLog(
            settings.prediction_log,
            capacity=settings.prediction_log_queue,
            own_bars=settings.prediction_log_own_bars,
            on_rows=telemetry.log_rows,
        )
        self._predictor = Predictor(settings, telemetry, self._log)
        self._version = _own_version()
        self._stopping: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            InvalidSettings: a port is taken.
        """
        self.register_model(self._predictor)
        self._log.start()
        self._predictor.start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        finally:
            self._predictor.stop()
            self._log.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, number)
        self._rest_server = V2RestServer(
            self, self._predictor, self._version, self._host, self._limits, self._telemetry
        )
        servers = [self._rest_server.start()]
        if self.enable_grpc:
            service = V2Service(self._predictor, self._version)
            health = HealthService(self._predictor)
            self._grpc_server = V2GrpcServer(
                service,
                health,
                self._telemetry.turned_away,
                self._host,
                self.grpc_port,
                GRACE_SECONDS,
            )
            servers.append(self._grpc_server.start())
        # What was imported lives as long as the process: spare the collector.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        # Threads that load or log must not make an answer wait for the interpreter's usual 5 ms.
        sys.setswitchinterval(0.001)
        await asyncio.gather(*servers)

    def stop(self, sig: int) -> None:
        """Say not ready now; end when calls under way are answered. A second call ends at once."""
        self._predictor.draining = True
        if self._stopping is not None:
            self._rest_server.stop(at_once=True)
            return
        logger.info("%s: not ready from now on, stopping", signal.Signals(sig).name)
        self._stopping = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        await asyncio.sleep(DRAIN_SECONDS)
        self._rest_server.stop()
        if self._grpc_server is not None:
            await self._grpc_server.stop()


def _configure_logging() -> None:
    """Log lines of bellwether look like KServe's, and go to the same place."""
    bellwether, kserve = logging.getLogger("bellwether"), logging.getLogger("kserve")
    bellwether.setLevel(logging.INFO)
    if not bellwether.handlers:
        for handler in kserve.handlers:
            bellwether.addHandler(handler)
    logging.getLogger("forecasting").handlers = list(bellwether.handlers)


def _own_version() -> str:
    try:
        return installed_version("bellwether")
    except PackageNotFoundError:  # run from a folder that was not installed
        return "0"


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InvalidSettings: the gRPC port is taken.
    """
    BellwetherServer(settings).run()


def main() -> int:
    """Serve what the settings say; returns the exit code."""
    try:
        serve(Settings())
    except BellwetherError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
