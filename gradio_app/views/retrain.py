"""The retrain tab: the training started last, and what came of it."""

from html import escape

from gradio_app import formatting
from gradio_app.notices import Notice
from gradio_app.retraining import Training
from gradio_app.views.elements import link, notice


def training_state(training: Training | None) -> str:
    """The state of the training started last.

    Args:
        training: the training, or None before the first.
    """
    if training is None:
        return notice(
            Notice(
                "No training was started from this page",
                "A training fetches prices, walks every candidate forward, and promotes one only "
                "if it beats the random walk and holds every other gate. That none does is a result, too.",
            )
        )
    what = f"source {training.source}" + (
        f", {', '.join(training.symbols)}" if training.symbols else ""
    )
    span = formatting.duration(training.seconds)
    title, body, tone = {
        "running": ("Training", f"Running for {span}: {what}.", "wait"),
        "promoted": ("A new champion was promoted", f"After {span}: {what}.", "ok"),
        "refused": ("Nothing was promoted", f"After {span}: {what}. The champion stays.", "info"),
        "done": (
            "The training is done",
            f"After {span}: {what}. The Models tab has its verdict.",
            "ok",
        ),
        "failed": ("The training failed", f"After {span}: {what}. The champion stays.", "wrong"),
    }[training.state]
    why = _why(training)
    log = escape("\n".join(training.lines)) or "..."
    return (
        notice(Notice(title, body, why, tone))
        + _pipeline_link(training.link)
        + '<section class="bw-block"><div class="bw-title"><h2>Its last lines</h2></div>'
        f'<pre class="bw-log" tabindex="0" role="log" aria-label="Training log">{log}</pre>'
        "</section>"
    )


def _pipeline_link(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        return ""
    return f'<p class="bw-aside">{link(url, "This run in Kubeflow Pipelines")}</p>'


def _why(training: Training) -> str:
    if training.outcome is not None:
        promoted = training.outcome.outcome == "promoted"
        head = "Promoted" if promoted else "Nothing was promoted"
        return f"{head}, because {training.outcome.reason}"
    if training.state in {"promoted", "refused"}:
        return "The training did not say why; the Models tab has its verdict"
    return training.lines[-1] if training.state == "failed" and training.lines else ""
