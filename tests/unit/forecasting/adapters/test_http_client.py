"""A client is created on first use and closed at the end of its block."""

from forecasting.adapters.http_client import LazyClient


def test_one_client_is_created_on_first_use_and_closed_at_the_end_of_the_block() -> None:
    with LazyClient(base_url="http://127.0.0.1:1") as lazy:
        client = lazy.client
        assert lazy.client is client
        assert not client.is_closed
    assert client.is_closed
    lazy.close()


def test_a_closed_client_is_created_anew() -> None:
    lazy = LazyClient()
    first = lazy.client
    lazy.close()
    assert lazy.client is not first
    lazy.close()
