import re
from html.parser import HTMLParser

import pytest

from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import decide
from forecasting.report.page import ReportMeta, html_report, verdict_markdown
from forecasting.report.tables import p_text, skill_text
from forecasting.testing import planted_forecasts

VOID = {"meta", "img", "source", "br"}


class Balance(HTMLParser):
    """Collects tags left open and addresses the page would fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [v for k, v in attrs if k in {"src", "href", "srcset"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def refused():
    forecasts = planted_forecasts(signal=0.0, periods=300, symbols=2, candidates=("ridge",), seed=3)
    evaluation = evaluate(forecasts, repetitions=100)
    return forecasts, evaluation, decide(evaluation)


@pytest.fixture(scope="module")
def page(refused):
    return page_of(refused)


def page_of(case, **meta):
    forecasts, evaluation, verdict = case
    return html_report(evaluation, verdict, forecasts, ReportMeta("sample", **meta))


def test_the_page_is_well_formed_and_fetches_nothing(page):
    reader = Balance()
    reader.feed(page)
    assert reader.open == []
    assert len(reader.addresses) == 12  # six pictures in two dresses
    assert all(address.startswith("data:image/png;base64,") for address in reader.addresses)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert "<script" not in page


def test_the_page_stays_small(page):
    assert len(page) < 1_500_000


def test_the_verdict_stands_at_the_top_in_words(page):
    assert "<h1>Refuse: ridge does not replace random walk</h1>" in page
    assert page.index("<h1>") < page.index("Must beat the random walk") < page.index("<table")
    for heading in (
        "Skill of width and of direction",
        "Skill by horizon",
        "Coverage by horizon",
        "Coverage in calm and storm",
        "By symbol",
        "Value at risk",
        "Methods and caveats",
    ):
        assert f"<h2>{heading}</h2>" in page


@pytest.mark.parametrize(
    ("meta", "label"),
    [({"synthetic": True, "replay": True}, "SYNTHETIC"), ({"replay": True}, "historical replay")],
)
def test_prices_that_are_not_live_are_labelled(refused, page, meta, label):
    assert f'<span class="label">{label}</span>' in page_of(refused, **meta)
    assert label not in page


def test_names_from_outside_are_escaped(refused):
    page = page_of(refused, snapshot="<b>x</b>", dataset="a&b")
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "a&amp;b" in page


def test_the_delay_of_a_bar_is_shown_beside_buy_and_hold(page):
    reader = Balance()
    reader.feed(page)
    text = " ".join(reader.text)
    for line in ("signal, at once (not tradable)", "signal, one bar later", "buy and hold"):
        assert line in text


def test_the_page_says_what_a_bars_delay_and_the_trials_do_to_the_account():
    forecasts = planted_forecasts(signal=0.2, periods=400, candidates=("ridge",), seed=1)
    evaluation = evaluate(forecasts, trials={"ridge": 30}, repetitions=50)
    case = (forecasts, evaluation, decide(evaluation))
    reader = Balance()
    reader.feed(page_of(case))
    text = " ".join(reader.text)
    at_once, later = (evaluation.candidates["ridge"].backtests[delay] for delay in (0, 1))
    assert (
        f"A bar's delay moves the Sharpe ratio from {at_once.sharpe:.2f} to {later.sharpe:.2f}"
        in text
    )
    assert "given that this was the best of 30 trials" in text
    assert f"{later.deflated_sharpe:.1%}" in text
    assert "30 and none weighed before (worth 30.0 independent ones beside the picking)" in text
    markdown = verdict_markdown(case[2], evaluation)
    assert f"above 0 with probability {later.deflated_sharpe:.1%}" in markdown


def test_an_incumbent_is_shown_beside_the_candidates():
    forecasts = planted_forecasts(signal=0, periods=300, candidates=("ridge", "catboost"), seed=1)
    evaluation = evaluate(forecasts, incumbent="catboost", repetitions=50)
    verdict = decide(evaluation, "catboost")
    assert "| catboost |" in verdict_markdown(verdict, evaluation)
    assert "<td>catboost</td>" in page_of((forecasts, evaluation, verdict))


def test_the_same_evidence_gives_the_same_page(refused, page):
    assert page_of(refused) == page


def test_a_promotion_says_what_it_replaces():
    forecasts = planted_forecasts(
        signal=0.3, periods=400, candidates=("ridge", "random_walk_drift"), seed=1
    )
    evaluation = evaluate(forecasts, repetitions=100)
    verdict = decide(evaluation)
    assert verdict.promote
    score = evaluation.candidates["ridge"]
    assert (
        f"| ridge | {skill_text(score.overall.skill)} | {p_text(score.overall.p_value)} "
        f"| {skill_text(score.split.overall.width)} | {skill_text(score.split.overall.direction)} |"
    ) in verdict_markdown(verdict, evaluation)
    assert "| random walk drift |" in verdict_markdown(verdict, evaluation)
    page = html_report(evaluation, verdict, forecasts, ReportMeta("files"))
    assert "<h1>Promote: ridge replaces random walk</h1>" in page
    assert verdict_markdown(verdict, evaluation).startswith(
        "## Promote: ridge replaces random walk"
    )


def test_a_report_without_a_challenger_describes_the_random_walk(refused):
    forecasts, _, _ = refused
    alone = {"random_walk": forecasts["random_walk"]}
    evaluation = evaluate(alone)
    page = html_report(evaluation, decide(evaluation), alone, ReportMeta("sample"))
    assert "Refuse: nothing challenges the random walk" in page


def test_many_symbols_are_cut_to_the_best_and_the_worst():
    forecasts = planted_forecasts(signal=0, periods=60, symbols=45, candidates=("ridge",))
    evaluation = evaluate(forecasts, repetitions=50)
    page = html_report(evaluation, decide(evaluation), forecasts, ReportMeta("sample"))
    assert page.count("<td>SYM0") == 80  # scores and value at risk, 40 each
    assert "The best and the worst 20 are listed." in page


def test_skill_on_combinatorial_paths_is_shown_as_a_distribution_if_it_was_asked_for(refused, page):
    forecasts, evaluation, verdict = refused
    paths = {"ridge": [-0.02, 0.01, 0.03, 0.0, 0.005]}
    shown = html_report(evaluation, verdict, forecasts, ReportMeta("sample"), paths=paths)
    row = re.search(r"<h2>Skill on combinatorial paths</h2>.*?<td>ridge</td>(.*?)</tr>", shown)
    cells = re.findall(r"<td>(.*?)</td>", row.group(1))
    assert cells[1:] == ["5", "-2.00%", "0", "+0.50%", "+1.00%", "+3.00%", "3 of 5"]
    assert "no gate looks at it" in shown
    assert "combinatorial" not in page


def test_the_markdown_lists_reasons_gates_and_candidates(refused):
    _, evaluation, verdict = refused
    text = verdict_markdown(verdict, evaluation)
    assert text.startswith("## Refuse: ridge does not replace random walk\n\nRefused, because:\n")
    assert "- must beat the random walk" in text
    assert "| beats random walk | **no** |" in text
    assert re.search(r"\| ridge \| -\d\.\d\d% \|", text)
    assert len(text) < 4_000
