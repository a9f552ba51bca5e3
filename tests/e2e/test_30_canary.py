"""A canary by command, under load: the split is as wanted, and no request is lost on the way."""

import math
import time

from tests.e2e.load import Load, ask
from tests.e2e.stage import DESPITE, alone, inference_services

STEPS = (10, 25, 50)
POINT = 1.0
"""How far, in percentage points, the observed split may be from the wanted one."""

MANY = 10_000
"""Answered requests the split is judged by, at least."""


def enough(percent: int) -> int:
    """So many requests that chance alone is a point off once in 1,000 times (3.3 sigma)."""
    share = percent / 100
    return max(MANY, math.ceil(share * (1 - share) * (3.3 / (POINT / 100)) ** 2))


def asked(cluster, version, percent):
    """So many answers, or, where these are more than a point off, as many as rule chance out."""
    seen = ask(cluster.forecasts, MANY)
    if abs(seen.share(version) - percent) > POINT:
        seen = ask(cluster.forecasts, enough(percent))
    return seen


def test_canary_promotion_rollback_and_deletion_fail_no_request(cluster, versions, figures):
    stable, candidate = versions.stable, versions.candidate
    alone(cluster, stable)
    with Load(cluster.forecasts) as load:
        load.watch("steady", 10)
        with load.window("start"):
            started = cluster.rollout("start", str(candidate), "--weight", "0", *DESPITE).expect()
        assert str(candidate) in started.output
        assert cluster.weights() == {stable: 100, candidate: 0}
        for step in STEPS:
            with load.window(f"weight {step}"):
                cluster.rollout("weight", str(candidate), str(step)).expect()
            seen = asked(cluster, candidate, step)
            figures.record(
                *("canary", f"observed share at {step} % of {seen.sent:,} answers"),
                *(seen.share(candidate), "%"),
                wanted=f"{step} +- {POINT:g}",
            )
            assert seen.failed == 0, str(seen)
            assert abs(seen.share(candidate) - step) <= POINT, str(seen)
        with load.window("promotion"):
            cluster.rollout("promote", str(candidate)).expect()
            time.sleep(5)
        assert cluster.weights() == {stable: 0, candidate: 100}
        seen = ask(cluster.forecasts, 1_000)
        assert seen.failed == 0, str(seen)
        assert seen.share(candidate) == 100, str(seen)
        with load.window("rollback"):
            back = time.time()
            cluster.rollout("rollback", "--why", "an exercise").expect()
            time.sleep(3)
        assert cluster.weights()[stable] == 100
        with load.window("promotion again"):
            cluster.rollout("promote", str(candidate)).expect()
        with load.window("deletion"):
            cluster.rollout("delete", str(stable)).expect()
            time.sleep(5)
    report = load.report
    for name in report.windows:
        part = report.within(name)
        figures.record("canary", f"p50 {name}", 1000 * part.p50, "ms")
        figures.record("canary", f"p99 {name}", 1000 * part.p99, "ms")
    figures.record("canary", "requests under load", report.sent)
    figures.record("canary", "failed of them", report.failed, wanted="0")
    figures.record("canary", "rate", report.rate, "requests/s", wanted=">= 100")
    rolled_back = report.within("rollback")
    took = max(0.0, rolled_back.last_answer_of(candidate) - back)
    figures.record(
        "canary", "command to last answer of what was rolled back", took, "s", wanted="< 10"
    )
    ratio = report.within("promotion").p99 / report.within("steady").p99
    figures.record("canary", "p99 in promotion / steady", ratio, wanted="<= 2")
    assert report.failed == 0, str(report)
    assert report.rate >= 100, str(report)
    assert took < 10
    assert inference_services(cluster) == [candidate]
