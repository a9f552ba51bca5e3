"""The newest row of a version says which calibration is in force; what it holds is whole and signed."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
import sqlalchemy

from forecasting.adapters.registry.calibrations import Calibrations, verified
from forecasting.bundle.calibration import Calibration
from forecasting.bundle.signature import Signer, TrustedKeys, new_key
from forecasting.errors import BundleRejected, InvalidSettings, Unavailable


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


def numbered(version="2", stretch=0.1):
    """Makes calibrations of a version by their number."""
    return lambda number: Calibration(
        model="m",
        number=number,
        version=version,
        bundle_digest="a" * 64,
        dataset="default",
        data_snapshot="5" * 16,
        until="2026-01-02T21:00:00+00:00",
        log_stretch=(stretch,) * 30,
        baseline_log_stretch=(0.0,) * 30,
    )


def add(table, **kind):
    signer = kind.pop("signer", None)
    return table.add(numbered(**kind), model="m", who="me", why="due", signer=signer)


def test_the_newest_calibration_of_a_version_is_in_force(url, clock):
    with closing(Calibrations(url)) as table:
        assert table.current("m", "2") is None
        first, other, second = add(table), add(table, version="3"), add(table, stretch=0.2)
        assert [one.number for one in (first, other, second)] == [1, 2, 3]
        row = table.current("m", "2")
        assert (row.calibration(), row.who, row.at) == (second, "me", clock.now)
        assert [one.number for one in table.history("m", "2")] == [3, 1]
        assert table.current("other", "2") is None


def test_a_rollback_takes_an_earlier_one_or_the_bundles_own_back_until_the_next(url):
    with closing(Calibrations(url)) as table:
        first = add(table)
        add(table, stretch=0.9)
        table.roll_back("m", "2", to=1, who="ann", why="too wide")
        assert table.current("m", "2").calibration() == first
        table.roll_back("m", "2", to=0, who="ann", why="still")
        assert table.current("m", "2") is None
        assert table.history("m", "2")[0].why == "still"
        assert table.current("m", "2") is None
        third = add(table, stretch=0.3)
        assert table.current("m", "2").calibration() == third
        for wrong in (9, 3):  # 3 is itself a rollback
            with pytest.raises(InvalidSettings, match=f"has no calibration {wrong}"):
                table.roll_back("m", "2", to=wrong, who="ann", why="")
        with pytest.raises(InvalidSettings, match="It has none"):
            table.roll_back("m", "7", to=1, who="ann", why="")


def test_a_rollback_to_one_that_is_gone_is_refused_and_not_taken_for_the_bundles_own(url):
    with closing(Calibrations(url)) as table:
        add(table)
        add(table)
        table.roll_back("m", "2", to=1, who="ann", why="too wide")
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM calibrations WHERE number = 1"))
        engine.dispose()
        with pytest.raises(BundleRejected, match="row 3 takes back 1 of version 2"):
            table.current("m", "2")


def test_of_many_at_once_each_gets_a_number_that_stands_in_its_payload(url):
    with closing(Calibrations(url)) as table, ThreadPoolExecutor(6) as threads:
        table.history("m")
        list(threads.map(lambda _: add(table), range(12)))
        rows = table.history("m")
        assert sorted(row.number for row in rows) == list(range(1, 13))
        assert all(row.calibration().number == row.number for row in rows)


def test_only_what_a_trusted_key_signed_is_taken_where_there_are_keys(url):
    signer = Signer(new_key())
    trusted, others = TrustedKeys(signer.public_pem()), TrustedKeys(Signer(new_key()).public_pem())
    with closing(Calibrations(url)) as table:
        signed, unsigned = add(table, signer=signer), add(table)
        second, first = table.history("m")
        assert verified(first, "m", trusted) == verified(first, "m", None) == signed
        assert verified(second, "m", None) == unsigned
        for row, keys in ((second, trusted), (first, others)):
            with pytest.raises(BundleRejected, match="must be signed by a trusted key"):
                verified(row, "m", keys)
        forged = replace(first, content=second.content)
        with pytest.raises(BundleRejected, match="changed after it was signed"):
            verified(forged, "m", trusted)
        with pytest.raises(BundleRejected, match="must be of the model that is served"):
            verified(first, "another", trusted)


def test_a_row_that_holds_another_rows_calibration_is_refused(url):
    with closing(Calibrations(url)) as table:
        add(table)
        add(table)
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.execute(
                sqlalchemy.text(
                    "UPDATE calibrations SET content = (SELECT content FROM calibrations "
                    "WHERE number = 1) WHERE number = 2"
                )
            )
        engine.dispose()
        with pytest.raises(BundleRejected, match="row 2 of version 2 holds number 1"):
            table.current("m", "2").calibration()
        with pytest.raises(BundleRejected, match="row 2 of version 2 holds number 1"):
            table.roll_back("m", "2", to=2, who="ann", why="it was the newest")
        assert len(table.history("m")) == 2


def test_a_database_that_is_away_or_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        closing(
            Calibrations(f"sqlite:///{tmp_path / 'file' / 'under' / 'ledger.sqlite'}")
        ) as table,
        pytest.raises(Unavailable, match="ledger's database must answer"),
    ):
        table.history("m")
    with closing(Calibrations(f"sqlite:///{tmp_path}")) as table, pytest.raises(Unavailable):
        table.current("m", "1")
