"""Which Service an address names, whatever form pods write it in."""

import base64
import string
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwether.cluster.connections import Connections, service_of, with_login
from forecasting.adapters.cluster.routes import ServicePort
from forecasting.errors import InvalidSettings

LABELS = st.text(string.ascii_lowercase, min_size=1, max_size=12).filter(
    lambda label: label not in {"svc", "localhost"}
)
PORTS = st.integers(1, 65_535)


def never_asked(namespace, name):
    raise AssertionError(f"asked about {name} in {namespace}")


@given(LABELS, LABELS, LABELS, PORTS, st.sampled_from(["", "/", "/prefix"]))
def test_every_form_of_a_services_name_leads_to_the_same_service(
    name, namespace, other, port, path
):
    forms = {
        f"http://{name}:{port}{path}": namespace,
        f"http://{name}.{namespace}:{port}{path}": other,
        f"http://{name}.{namespace}.svc:{port}{path}": other,
        f"http://{name}.{namespace}.svc.cluster.local:{port}{path}": other,
        f"http://{name}.{namespace}.svc.cluster.local.:{port}{path}": other,
    }
    found = {service_of(url, own, lambda *_: True) for url, own in forms.items()}
    assert found == {ServicePort(namespace, name, port)}


@given(LABELS, LABELS, PORTS)
def test_a_name_that_may_be_a_machines_is_one_where_the_cluster_has_no_such_service(
    name, namespace, port
):
    asked = []

    def exists(where, service):
        asked.append((where, service))
        return False

    assert service_of(f"http://{name}:{port}", namespace, exists) is None
    assert service_of(f"http://{name}.{namespace}:{port}", "own", exists) is None
    assert asked == [(namespace, name), (namespace, name)]


@given(LABELS, LABELS, LABELS, PORTS)
def test_a_public_name_of_three_labels_and_more_is_no_service_and_nobody_is_asked(
    name, domain, top, port
):
    for host in (f"{name}.{domain}.{top}", f"{name}.{domain}.{top}.org"):
        assert service_of(f"https://{host}:{port}", "own", never_asked) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9090",
        "http://localhost:9090",
        "http://localhost.:9090",
        "http://[::1]:9090",
        "http://10.96.0.7:9090/prefix",
        "http://[fd00::7]",
        "http://",
        "",
    ],
)
def test_loopback_numeric_and_empty_hosts_are_no_services_and_nobody_is_asked(url):
    assert service_of(url, "own", never_asked) is None


def test_the_port_follows_from_the_scheme_where_none_is_given():
    assert service_of("http://a.b.svc", "own", never_asked) == ServicePort("b", "a", 80)
    assert service_of("https://a.b.svc", "own", never_asked) == ServicePort("b", "a", 443)


def test_the_ledgers_address_gets_the_owners_login_and_a_way_there():
    secret = {"username": base64.b64encode(b"ada"), "password": base64.b64encode(b"p/w")}
    url = "postgresql+psycopg://postgresql.data:5432/bellwether?sslmode=prefer"
    assert with_login(url, secret, "") == (
        "postgresql+psycopg://ada:p%2Fw@postgresql.data:5432/bellwether?sslmode=prefer"
    )
    # The name stays, as a certificate may be for it.
    assert with_login(url, secret, "http://127.0.0.1:40123") == (
        "postgresql+psycopg://ada:p%2Fw@postgresql.data:40123/bellwether"
        "?sslmode=prefer&hostaddr=127.0.0.1"
    )


def test_a_release_that_does_not_say_where_its_ledger_is_is_told_so():
    config = SimpleNamespace(ledger_url="", ledger_secret="")
    cluster = SimpleNamespace(namespace="bw", release="bellwether", config=lambda: config)
    with pytest.raises(InvalidSettings, match="known where the ledger's database is"):
        Connections(cluster).ledger()
