"""Each component's database role on a real PostgreSQL: what it may, by the adapters that use it."""

import uuid
from collections import defaultdict
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from bellwether.bootstrap import make_tables, prepare
from forecasting.adapters.database_roles import (
    APPROVALS,
    CALIBRATIONS,
    NAMES,
    PREDICTIONS,
    PROMOTIONS,
    RIGHTS,
    ROLLOUTS,
    TABLES,
    TRIALS,
    Account,
    accounts_in,
    make_roles,
)
from forecasting.adapters.databases import REFUSED_REMEDY, make_database
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.prediction_log.rows import table
from forecasting.adapters.registry.approvals import Approvals
from forecasting.adapters.registry.ledger import DONE, Ledger
from forecasting.adapters.registry.rollout_history import RolloutHistory
from forecasting.errors import InvalidSettings, Unavailable
from forecasting.rollout.traffic import Traffic
from forecasting.settings import Settings
from tests.accounts_table import OWNER, account_rows
from tests.time_limits import seconds, wait_until
from tests.unit.forecasting.adapters.prediction_log.test_log import Rows, answered

pytestmark = pytest.mark.integration


class Installation:
    """Two databases of this test alone, an owner of theirs who is no superuser, and roles."""

    def __init__(self, server):
        mark = uuid.uuid4().hex[:8]
        self.server = make_url(server)
        self.owner = f"owner_{mark}"
        self.log = self.url(self.owner, f"log_{mark}")
        self.registry = self.url(self.owner, f"mlflow_{mark}")
        self.accounts = tuple(Account(name, f"{name}_{mark}", f"word{name}") for name in NAMES)
        self.execute(f"CREATE ROLE {self.owner} LOGIN CREATEDB CREATEROLE PASSWORD 'own'", server)

    def url(self, role, database):
        url = self.server.set(username=role, database=database)
        return url.render_as_string(hide_password=False)

    def as_(self, name, *, registry=False):
        """URL of a component."""
        (role,) = (one.role for one in self.accounts if one.name == name)
        return self.url(role, make_url(self.registry if registry else self.log).database)

    def prepare(self, tmp_path, *accounts):
        settings = Settings(lake_url=str(tmp_path), prediction_log_url=self.log)
        prepare(
            settings,
            mlflow_url=self.registry,
            accounts=accounts or self.accounts,
            wait_seconds=seconds(60),
        )

    @staticmethod
    @contextmanager
    def connected(url):
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def execute(self, sentence, url=""):
        with self.connected(url or self.log) as connection:
            done = connection.execute(text(sentence))
            return list(done) if done.returns_rows else []

    def refused(self, sentence, url):
        """Whether PostgreSQL refuses this for want of a right; what else goes wrong is raised."""
        try:
            self.execute(sentence, url)
        except DBAPIError as error:
            words = str(error.orig)
            if "permission denied" in words or "must be owner" in words:
                return True
            raise
        return False


@pytest.fixture(scope="module")
def installation(postgres_url, tmp_path_factory):
    made = Installation(postgres_url)
    made.prepare(tmp_path_factory.mktemp("lake"))
    with closing(PredictionLog(made.log)) as log, closing(Ledger(made.log)) as ledger:
        log.start()
        log.offer(answered("AAPL"))
        ledger.settle(ledger.claim("m", expected="", to_version="1", who="ada", why="skill"))
    return made


def test_the_page_reads_all_that_it_shows(installation):
    with (
        closing(PredictionLog(installation.as_("page"))) as log,
        closing(Ledger(installation.as_("page"))) as ledger,
    ):
        assert [row.symbol for row in log.recent()] == ["AAPL"]
        assert [row.to_version for row in ledger.history("m")] == ["1"]
        with pytest.raises(Unavailable, match="must have the rights that its work takes") as caught:
            ledger.claim("m", expected="1", to_version="2", who="eve", why="mine")
    assert f"{log._url.split('//')[1].split('@')[0]} on " in str(caught.value.found)
    assert "permission denied for table promotions" in caught.value.found
    assert caught.value.remedy == REFUSED_REMEDY


def test_a_model_server_writes_what_it_answered_and_reads_who_is_champion(installation):
    rows = Rows()
    with closing(PredictionLog(installation.as_("models"), on_rows=rows)) as log:
        log.start()
        for _ in range(600):
            log.offer(answered("MSFT"))
        wait_until(lambda: rows.written == 600, 30)
        with pytest.raises(Unavailable, match="permission denied for table predictions"):
            log.recent()
    assert (rows.rejected, rows.dropped) == (0, 0)
    with closing(Ledger(installation.as_("models"))) as ledger:
        assert ledger.head("m").to_version == "1"


def test_a_training_promotes_and_cannot_rewrite_history(installation):
    with closing(Ledger(installation.as_("jobs"))) as ledger:
        row = ledger.claim("jobs", expected="", to_version="7", who="training", why="skill")
        ledger.settle(row)
        assert ledger.head("jobs").state == DONE
    assert installation.refused("UPDATE promotions SET who = 'eve'", installation.as_("jobs"))
    assert installation.refused("DELETE FROM promotions", installation.as_("jobs"))


def test_the_page_adds_an_approval_that_the_rollout_reads_and_nobody_changes(installation):
    with closing(Approvals(installation.as_("page"))) as page:
        page.give("m", "4", "d" * 64, who="ann", why="read the report", via="page")
    with closing(Approvals(installation.as_("rollout"))) as rollout:
        assert rollout.find("m", "4", "d" * 64).who == "ann"
        with pytest.raises(Unavailable, match="permission denied for table approvals"):
            rollout.give("m", "5", "d" * 64, who="eve", why="mine", via="command")
    for name in ("page", "rollout", "jobs", "models"):
        for sentence in ("UPDATE approvals SET who = 'eve'", "DELETE FROM approvals"):
            assert installation.refused(sentence, installation.as_(name))


def test_the_drift_job_reads_forecasts_and_the_rollout_who_is_champion(installation):
    with closing(PredictionLog(installation.as_("drift"))) as log:
        assert list(log.each_once())
    with closing(Ledger(installation.as_("rollout"))) as ledger:
        assert ledger.head("m").to_version == "1"


def test_the_rollout_adds_to_its_history_and_cannot_rewrite_it(installation):
    url = installation.as_("rollout")
    with closing(RolloutHistory(url)) as history:
        history.add("m", Traffic({1: 100}, (1,)), who="rollout", why="first version")
        assert [change.traffic.stable for change in history.changes("m")] == [1]
    assert installation.refused("UPDATE rollouts SET who = 'eve'", url)
    assert installation.refused("DELETE FROM rollouts", url)


def test_mlflow_works_in_its_own_database_and_comes_into_no_other(installation):
    url = installation.as_("mlflow", registry=True)
    installation.execute(
        "INSERT INTO experiments (name, artifact_location, lifecycle_stage) "
        "VALUES ('own', 's3://b/mlflow/1', 'active')",
        url,
    )
    assert installation.execute("SELECT name FROM experiments WHERE name = 'own'", url)
    assert installation.refused("DROP TABLE experiments", url)
    assert installation.refused("CREATE TABLE mine (x int)", url)
    # What a later version of MLflow makes, made by the owner as `prepare` does.
    installation.execute("CREATE TABLE later (id serial, x int)", installation.registry)
    installation.execute("INSERT INTO later (x) VALUES (1)", url)
    installation.execute("DROP TABLE later", installation.registry)
    with pytest.raises(Unavailable, match="permission denied for database") as caught:
        PredictionLog(installation.as_("mlflow")).count()
    assert "`bellwether prepare`" in caught.value.remedy


def test_nobody_else_comes_into_either_database(installation):
    stranger = f"stranger_{uuid.uuid4().hex[:8]}"
    installation.execute(f"CREATE ROLE {stranger} LOGIN", str(installation.server))
    for database in (installation.log, installation.registry):
        for name in [*RIGHTS, None]:
            role = installation.as_(name).split("//")[1].split("@")[0] if name else stranger
            url = installation.url(role, make_url(database).database)
            lets_in = name is not None and database == installation.log
            assert installation.refused("SELECT 1", url) is not lets_in, (role, database)


@pytest.mark.parametrize("made", [False, True], ids=["no role", "no table"])
def test_a_component_that_is_there_before_its_role_says_what_makes_it(postgres_url, made):
    early = Installation(postgres_url)
    make_database(early.log)
    (page,) = (one.role for one in early.accounts if one.name == "page")
    if made:
        early.execute(f"CREATE ROLE {page} LOGIN")
    for adapter, ask in (
        (PredictionLog(early.as_("page")), PredictionLog.recent),
        (Ledger(early.as_("page")), lambda ledger: ledger.head("m")),
    ):
        with closing(adapter), pytest.raises(Unavailable, match="must have the rights") as caught:
            ask(adapter)
        assert caught.value.found.startswith(f"{page} on ")
        assert "Run `bellwether prepare`" in caught.value.remedy


def granted(installation):
    """Account -> table -> what PostgreSQL says it may there, single columns as a table grants them."""
    sentence = """
        SELECT grantee, table_name, privilege_type AS may FROM information_schema.role_table_grants
        WHERE table_schema = 'public'
        UNION
        SELECT grantee, table_name, privilege_type || ' (' || column_name || ')'
        FROM information_schema.role_column_grants WHERE table_schema = 'public'
          AND (grantee, table_name, privilege_type) NOT IN (
            SELECT grantee, table_name, privilege_type
            FROM information_schema.role_table_grants)
    """
    names = {account.role: account.name for account in installation.accounts}
    found = {name: {} for name in RIGHTS}
    for row in installation.execute(sentence):
        if row.grantee in names:
            tables = found[names[row.grantee]]
            tables[row.table_name] = {*tables.get(row.table_name, ()), row.may}
    return found


def test_what_is_granted_is_what_the_table_in_security_md_says(installation):
    said = defaultdict(dict)
    for row in account_rows():
        if row.account and row.account != OWNER and row.database is not None:
            said[row.account] |= row.database
    assert said.pop("mlflow") == {"*": {"SELECT", "INSERT", "UPDATE", "DELETE"}}
    said = {name: rights for name, rights in said.items() if name in RIGHTS}
    assert said == granted(installation)
    assert {table().name, "promotions", "approvals", "rollouts", "trials", "calibrations"} == set(
        TABLES
    )


ATTEMPTS = {
    "SELECT": "SELECT * FROM {table}",
    "INSERT": "INSERT INTO {table} SELECT * FROM {table} WHERE false",
    "UPDATE": "UPDATE {table} SET {column} = {column}",
    "DELETE": "DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table}",
    "DROP": "DROP TABLE {table}",
    "ALTER": "ALTER TABLE {table} ADD COLUMN mine int",
}


@pytest.mark.parametrize("name", RIGHTS)
def test_a_role_can_do_what_it_was_given_and_nothing_else(installation, name):
    url = installation.as_(name)
    column = {PREDICTIONS: "symbol", PROMOTIONS: "who", APPROVALS: "who", ROLLOUTS: "who"}
    column |= {TRIALS: "dataset", CALIBRATIONS: "who"}
    opened = {
        (name_of, what)
        for name_of in TABLES
        for what, sentence in ATTEMPTS.items()
        # Adding takes reading here, or else a row of nothing but defaults, which no table takes.
        if not installation.refused(
            sentence.format(table=name_of, column=column[name_of])
            if what != "INSERT" or "SELECT" in RIGHTS[name].get(name_of, ())
            else f"EXPLAIN INSERT INTO {name_of} DEFAULT VALUES",
            url,
        )
    }
    expected = {
        (name_of, right)
        for name_of, rights in RIGHTS[name].items()
        for right in rights
        if "(" not in right
    }
    assert opened == expected
    assert installation.refused("CREATE TABLE mine (x int)", url)
    assert installation.refused("CREATE TEMP TABLE mine (x int)", url)


def test_an_installation_with_one_role_for_all_gets_roles_at_the_next_start(postgres_url, tmp_path):
    made = Installation(postgres_url)
    made.prepare(tmp_path, Account("grafana", f"reader_{made.owner}", "word"))
    with closing(PredictionLog(made.log)) as log, closing(Ledger(made.log)) as ledger:
        log.start()
        log.offer(answered("AAPL"))
        ledger.claim("m", expected="", to_version="1", who="ada", why="skill")
    made.execute("INSERT INTO experiments (name) VALUES ('before')", made.registry)
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    for _ in range(2):  # the second start finds everything there
        made.prepare(tmp_path)
        with closing(PredictionLog(made.as_("page"))) as log:
            assert log.count() == 1
        found = made.execute("SELECT name FROM experiments", made.as_("mlflow", registry=True))
        assert "before" in {row.name for row in found}
        for url in (made.log, made.registry):
            # The owner stays: the release before, which knows no other role, works on them still.
            assert [row.tableowner for row in made.execute(owners, url)] == [made.owner]
    with closing(PredictionLog(made.log)) as log:
        assert log.count() == 1


def test_a_right_that_is_no_longer_ours_to_give_is_taken_back(installation, tmp_path):
    (page,) = (one.role for one in installation.accounts if one.name == "page")
    installation.execute(f"GRANT DELETE ON predictions TO {page}")
    installation.execute(f"GRANT UPDATE (why) ON promotions TO {page}")
    installation.prepare(tmp_path)
    assert granted(installation)["page"] == {
        PREDICTIONS: {"SELECT"},
        PROMOTIONS: {"SELECT"},
        APPROVALS: {"SELECT", "INSERT"},
    }


def test_passwords_reach_the_server_as_hashes_and_change_with_their_secret(installation):
    (page,) = (one for one in installation.accounts if one.name == "page")

    def kept():
        sentence = f"SELECT rolpassword FROM pg_authid WHERE rolname = '{page.role}'"
        ((word,),) = installation.execute(sentence, str(installation.server))
        return word

    before = kept()
    make_roles(installation.log, "", [Account("page", page.role, "it's 2nd")])
    assert before.startswith("SCRAM-SHA-256$")
    assert kept() != before
    assert "it's" not in kept()
    assert "wordpage" not in repr(page)


def test_an_owner_who_may_make_no_roles_uses_those_that_are_there(postgres_url):
    made = Installation(postgres_url)
    make_database(made.log)
    make_tables(made.log, "m")
    made.execute(f"ALTER ROLE {made.owner} NOCREATEROLE", str(made.server))
    (page,) = (one for one in made.accounts if one.name == "page")
    with pytest.raises(
        Unavailable, match="must be able to make roles, or find them made"
    ) as caught:
        make_roles(made.log, "", [page])
    assert f"ALTER ROLE {made.owner} CREATEROLE" in caught.value.remedy
    made.execute(f"CREATE ROLE {page.role} LOGIN PASSWORD 'wordpage'", str(made.server))
    assert make_roles(made.log, "", [page]) == ()
    with closing(PredictionLog(made.as_("page"))) as log:
        assert log.count() == 0


def test_a_database_of_somebody_elses_stays_open_and_that_is_said(postgres_url):
    made = Installation(postgres_url)
    name = make_url(made.log).database
    made.execute(f"CREATE DATABASE {name}", str(made.server))
    made.execute(f"GRANT CREATE ON SCHEMA public TO {made.owner}", made.url("bellwether", name))
    make_tables(made.log, "m")
    (page,) = (one for one in made.accounts if one.name == "page")
    (remark,) = make_roles(made.log, "", [page])
    assert f"does not own the database {name}" in remark
    with closing(PredictionLog(made.as_("page"))) as log:
        assert log.count() == 0


@pytest.mark.parametrize(
    ("role", "says"),
    [("{owner}", "must not be the owner"), ("bellwether", "no rights over the server")],
)
def test_a_role_that_may_too_much_is_no_components(installation, role, says):
    page = Account("page", role.format(owner=installation.owner), "word")
    with pytest.raises(InvalidSettings, match=says):
        make_roles(installation.log, "", [page])


def test_one_role_for_two_accounts_may_what_both_may_and_has_one_password(installation):
    role = f"both_{uuid.uuid4().hex[:8]}"
    both = [Account("drift", role, "word"), Account("rollout", role, "word")]
    make_roles(installation.log, "", both)
    url = installation.url(role, make_url(installation.log).database)
    for name in (PREDICTIONS, PROMOTIONS, ROLLOUTS):
        assert not installation.refused(f"SELECT * FROM {name}", url)
    with pytest.raises(InvalidSettings, match="a database role has one password"):
        make_roles(installation.log, "", [both[0], Account("rollout", role, "other")])


def test_roles_are_read_from_variables():
    variables = {
        "BELLWETHER_ROLE_PAGE": "page",
        "BELLWETHER_ROLE_PAGE_PASSWORD": "word",
        "BELLWETHER_ROLE_MODELS": "",
        "BELLWETHER_READER_PASSWORD": "read",
    }
    assert accounts_in(variables) == (
        Account("page", "page", "word"),
        Account("grafana", "bellwether_reader", "read"),
    )
    with pytest.raises(InvalidSettings, match="a database role needs a password"):
        accounts_in({"BELLWETHER_ROLE_JOBS": "jobs"})
