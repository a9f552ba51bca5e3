"""Load makes a version grow; test_59_calm sees it shrink, while so much else is tested."""


def test_load_scales_out_and_fails_nothing(busy, figures):
    figures.record("autoscaling", "load to third ready pod", busy.seconds, "s")
    assert busy.report.failed == 0, str(busy.report)
