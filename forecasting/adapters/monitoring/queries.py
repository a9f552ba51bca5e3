"""Asks Prometheus instant queries; what goes wrong is said in words."""

from math import isnan
from typing import Any

from forecasting.adapters.http_client import LazyClient
from forecasting.errors import Unavailable


class Prometheus(LazyClient):
    """One Prometheus server.

    Args:
        url: its address; a path prefix may stand in it.
        timeout: longest wait for one answer, in seconds.
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        self._url = url.rstrip("/")
        super().__init__(timeout=timeout)

    def by_label(self, query: str, label: str) -> dict[str, float]:
        """The values of an instant query, by one label; NaN is left out.

        Raises:
            Unavailable: Prometheus cannot be reached, or refuses the query.
        """
        values = {}
        for series in self._vector(query):
            value = float(series["value"][1])
            if not isnan(value):
                values[str(series["metric"].get(label, ""))] = value
        return values

    def value(self, query: str) -> float | None:
        """The value of an instant query that has one series; None when it has none or NaN.

        Raises:
            Unavailable: Prometheus cannot be reached, or refuses the query.
        """
        values = [float(series["value"][1]) for series in self._vector(query)]
        return values[0] if values and not isnan(values[0]) else None

    def _vector(self, query: str) -> list[dict[str, Any]]:
        from httpx import HTTPError, InvalidURL

        try:
            response = self.client.post(f"{self._url}/api/v1/query", data={"query": query})
        except (HTTPError, InvalidURL) as error:
            raise Unavailable(
                "Prometheus must be reachable",
                f"{self._url}: {error or type(error).__name__}",
                "Start it, or correct rollout.prometheusUrl in the chart's values",
            ) from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or answer.get("status") != "success":
            message = answer.get("error") if isinstance(answer, dict) else None
            raise Unavailable(
                "Prometheus must answer a query",
                f"{self._url} answered {response.status_code}: {message or response.text[:200]!r}",
                "Check that the address is Prometheus' own, and look into its log",
            )
        data = answer["data"]
        if data.get("resultType") != "vector":
            raise Unavailable(
                "an instant query must give a vector", f"{query!r} gives {data.get('resultType')}"
            )
        return list(data["result"])
