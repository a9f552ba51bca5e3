"""A check becomes a result, whatever happens, and a pod's results are lines of JSON."""

import os
import subprocess
import sys

import pytest
import typer

from bellwether import doctor
from bellwether.cluster.doctor import job_from, results_in
from bellwether.doctor import CheckResult, check, report
from forecasting.errors import NotReady
from forecasting.settings import Settings
from tests.ports import free_port
from tests.time_limits import seconds


def failing(error):
    def probe():
        raise error

    return probe


def test_a_check_that_fails_in_whatever_way_is_a_result():
    assert check("disk", lambda: "3 GB") == CheckResult("disk", ok=True, detail="3 GB")
    known = check("model", failing(NotReady("a model must be there", "none", "Train")))
    assert known == CheckResult("model", ok=False, detail="a model must be there: none. Train")
    assert check("x", failing(KeyError("y"))) == CheckResult("x", ok=False, detail="KeyError: 'y'")


def test_results_are_a_table_and_one_failure_is_exit_code_one(capsys):
    report([CheckResult("disk", ok=True, detail="3 GB")])
    printed = capsys.readouterr().out
    assert "3 GB" in printed
    assert "fails" not in printed
    with pytest.raises(typer.Exit) as ended:
        report([CheckResult("a", ok=True, detail=""), CheckResult("b", ok=False, detail="no")])
    assert ended.value.exit_code == 1
    assert "fails" in capsys.readouterr().out


def test_the_lake_and_the_log_of_a_new_folder_are_well(tmp_path):
    settings = Settings(state_dir=tmp_path, registry_url=f"http://127.0.0.1:{free_port()}")
    results = {result.what: result for result in doctor.examine_connections(settings)}
    assert results["object store: write and read"].ok
    assert results["database: connect"].detail == "0 forecasts logged"
    assert not results["MLflow: ask for the champion"].ok
    assert list((tmp_path / "lake").rglob("doctor/*")) == []


def test_what_the_cluster_doctor_starts_in_a_pod_prints_results(tmp_path):
    container = {"name": "drift", "args": ["drift"]}
    spec = {"template": {"spec": {"containers": [container]}}}
    job = job_from({"spec": {"jobTemplate": {"spec": spec}}}, "doctor")
    (started,) = job["spec"]["template"]["spec"]["containers"]
    variables = {
        "BELLWETHER_STATE_DIR": str(tmp_path),
        "BELLWETHER_REGISTRY_URL": f"http://127.0.0.1:{free_port()}",
        "BELLWETHER_INFERENCE_URL": f"http://127.0.0.1:{free_port()}",
    }
    done = subprocess.run(
        [sys.executable, *started["command"][1:], *started["args"]],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=seconds(120),
        check=True,
    )
    results = results_in(done.stdout)
    assert [result.what for result in results][:2] == [
        "object store: write and read",
        "database: connect",
    ]
    assert len(results) == len(done.stdout.splitlines())
