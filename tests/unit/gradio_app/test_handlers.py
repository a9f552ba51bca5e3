"""The handlers of the page."""

from gradio_app.handlers import scored_horizon
from tests.unit.gradio_app.page_records import points


def test_the_drawn_horizon_is_the_due_one_nearest_to_a_week():
    assert scored_horizon([]) == 5
    assert scored_horizon([*points(horizon=1), *points(horizon=10)]) == 1
    assert scored_horizon([*points(horizon=5), *points(horizon=10)]) == 5
