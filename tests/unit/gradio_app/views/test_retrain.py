"""The retrain tab: every state of a training says what came of it."""

from forecasting.evaluation.promotion_outcome import PromotionOutcome
from gradio_app.retraining import Training
from gradio_app.views.retrain import training_state
from tests.unit.gradio_app.page_records import AS_OF, text_of


def test_a_promoted_training_says_why():
    outcome = PromotionOutcome("promoted", "3", "skill +1.00%")
    shown = text_of(training_state(Training("promoted", "s", (), AS_OF, 4.0, (), "", outcome)))
    assert "A new champion was promoted" in shown
    assert "Promoted, because skill +1.00%." in shown


def test_a_failed_training_shows_its_last_line():
    failed = Training("failed", "s", (), AS_OF, 4.0, ("fetching", "remedy Start it"))
    assert "Remedy Start it." in text_of(training_state(failed))
