"""Leak gates: one a check, failed where a check found a leak or was not made."""

from types import SimpleNamespace

from components.evaluate.leak_gates import leak_gates
from forecasting.leakage.findings import OF_FORECASTS, OF_UNIVERSE, RULES, LeakFinding


def artifact(findings, **metadata):
    leaks = [finding.to_dict() for finding in findings]
    return SimpleNamespace(path="", metadata={**metadata, "leaks": leaks})


def clean_table():
    return artifact(
        [LeakFinding(check, False, "none do") for check in RULES if check != OF_FORECASTS]
    )


def test_clean_checks_pass_as_one_gate_each():
    candidates = [
        artifact([LeakFinding(OF_FORECASTS, False, "none do")], kind=kind)
        for kind in ("ridge", "xgboost")
    ]
    gates = leak_gates(clean_table(), candidates)
    assert {gate.name for gate in gates} == set(RULES)
    assert all(gate.passed for gate in gates)


def test_a_leak_of_one_candidate_fails_the_gate_and_names_it():
    candidates = [
        artifact([LeakFinding(OF_FORECASTS, False, "none do")], kind="ridge"),
        artifact([LeakFinding(OF_FORECASTS, True, "loc moved")], kind="xgboost"),
    ]
    gate = {gate.name: gate for gate in leak_gates(clean_table(), candidates)}[OF_FORECASTS]
    assert (gate.passed, gate.found) == (False, "xgboost: loc moved")


def test_hindsight_fails_a_gate_of_direction_and_a_check_not_made_one_of_all():
    table = clean_table()
    by_name = {finding["check"]: finding for finding in table.metadata["leaks"]}
    by_name[OF_UNIVERSE] |= {"hindsight": True, "found": "winners"}
    candidates = [artifact([LeakFinding(OF_FORECASTS, False, "none do")], kind="ridge")]
    gates = {gate.name: gate for gate in leak_gates(table, candidates)}
    assert [gate.name for gate in gates.values() if gate.of_direction] == [OF_UNIVERSE]
    assert (gates[OF_UNIVERSE].passed, gates[OF_UNIVERSE].found) == (False, "winners")
    table.metadata["leaks"] = [one for name, one in by_name.items() if name != OF_UNIVERSE]
    missing = {gate.name: gate for gate in leak_gates(table, candidates)}[OF_UNIVERSE]
    assert (missing.passed, missing.of_direction) == (False, False)


def test_a_check_that_was_not_made_does_not_pass():
    gates = {gate.name: gate for gate in leak_gates(clean_table(), [artifact([], kind="ridge")])}
    assert not gates[OF_FORECASTS].passed


def test_findings_that_went_through_ml_metadata_make_the_same_gates():
    laptop = clean_table()
    cluster = artifact([])
    cluster.metadata["leaks"] = {"list": laptop.metadata["leaks"]}
    assert leak_gates(cluster, []) == leak_gates(laptop, [])
    assert leak_gates(cluster, []) != leak_gates(artifact([]), [])
