"""Records an evaluation as plain values: for JSON, and under flat names for a tracker."""

from dataclasses import asdict, fields
from typing import Any, Final

import numpy as np

from forecasting.evaluation.backtest import Backtest
from forecasting.evaluation.evaluate import CandidateEvaluation, Evaluation
from forecasting.evaluation.multiple_testing import JUDGED_DELAY
from forecasting.evaluation.skill_split import SkillSplit
from forecasting.instants import second_text

_BY_HORIZON: Final = (
    "pinball", "crps", "mae", "skill", "relative_mae", "coverage_50", "coverage_90", "p_value"
)  # fmt: skip

_NESTED: Final = (
    "by_horizon", "by_symbol", "hit_rate", "information_coefficient",
    "symbol_hit_rate", "symbol_information_coefficient",
)  # fmt: skip


def record(evaluation: Evaluation) -> dict[str, Any]:
    """Everything but loss series and equity curves; null for what is not finite."""
    values: dict[str, Any] = plain(
        {
            "alpha": evaluation.alpha,
            "horizons": evaluation.horizons,
            "signal": {
                "horizon": evaluation.signal_horizon,
                "cost": evaluation.cost,
                "slippage": evaluation.slippage,
                "threshold": evaluation.threshold,
            },
            "symbols": evaluation.symbols,
            "first": second_text(evaluation.instants[0]),
            "last": second_text(evaluation.instants[-1]),
            "periods": evaluation.periods,
            "overlap": evaluation.overlap,
            "spa_p_value": evaluation.spa_p_value,
            "best": evaluation.best,
            "incumbent": evaluation.incumbent,
            "trials": evaluation.trials,
            "effective_trials": evaluation.effective_trials,
            "lifetime": asdict(evaluation.lifetime),
            "seed": evaluation.seed,
            "buy_and_hold": _account(evaluation.buy_and_hold),
            "candidates": {
                name: _candidate(candidate) for name, candidate in evaluation.candidates.items()
            },
        }
    )
    return values


def metrics(evaluation: Evaluation, name: str) -> dict[str, float]:
    """A candidate's finite figures under flat names; `baseline_` before those of the random walk."""
    candidate = evaluation.candidates[name]
    figures = {key: float(value) for key, value in asdict(candidate.overall).items()}
    figures |= _baseline_coverage(evaluation)
    for horizon in evaluation.horizons:
        score = candidate.by_horizon[horizon]
        figures |= {f"{key}_h{horizon:02d}": getattr(score, key) for key in _BY_HORIZON}
        hits = candidate.hit_rate[horizon]
        rank = candidate.information_coefficient[horizon]
        figures |= {
            f"directional_accuracy_h{horizon:02d}": hits.accuracy,
            f"directional_accuracy_low_h{horizon:02d}": hits.low,
            f"directional_accuracy_high_h{horizon:02d}": hits.high,
            f"information_coefficient_h{horizon:02d}": rank.value,
        }
    figures |= {
        f"coverage_90_{cell.third}_h{cell.horizon:02d}": cell.coverage
        for cell in candidate.conditional_coverage.cells
    }
    figures |= {
        f"coverage_90_gap_h{gap.horizon:02d}": gap.gap
        for gap in candidate.conditional_coverage.gaps
    }
    for told in candidate.variance:
        figures[f"qlike_h{told.horizon:02d}"] = told.qlike
        figures[f"mz_slope_h{told.horizon:02d}"] = told.slope
    figures |= _split_figures(candidate.split)
    account = candidate.backtests[JUDGED_DELAY]
    figures |= {
        "brier": candidate.brier,
        "brier_skill": candidate.brier_skill,
        "signal_accuracy": candidate.signal_accuracy,
        "confidence_set_p": candidate.confidence_set_p,
        "picked_p": candidate.picked_p,
        "anytime_p": candidate.anytime_p,
        "deflated_p": candidate.deflated_p,
        "spa_p_value": evaluation.spa_p_value,
        "trials": float(candidate.trials),
        "trials_of_all": float(evaluation.trials),
        "effective_trials": evaluation.effective_trials,
        "earlier_trials": float(evaluation.lifetime.trials),
        "periods": float(evaluation.periods),
        "max_drawdown": account.max_drawdown,
        "turnover": account.turnover,
        "sharpe_error": account.sharpe_error,
        "deflated_sharpe": account.deflated_sharpe,
        "sharpe_buy_and_hold": evaluation.buy_and_hold.sharpe,
    }
    for delay, delayed in candidate.backtests.items():
        figures[f"sharpe_delay_{delay}"] = delayed.sharpe
        figures[f"annual_return_delay_{delay}"] = delayed.annual_return
    return {key: float(value) for key, value in figures.items() if np.isfinite(value)}


def _baseline_coverage(evaluation: Evaluation) -> dict[str, float]:
    """How often the random walk's 90 % interval was right on the same rows.

    A version's own coverage is read beside it, wherever the random walk's run may be by then.
    """
    null = evaluation.benchmark
    return {"baseline_coverage_90": null.overall.coverage_90} | {
        f"baseline_coverage_90_h{horizon:02d}": null.by_horizon[horizon].coverage_90
        for horizon in evaluation.horizons
    }


def _split_figures(split: SkillSplit) -> dict[str, float]:
    figures = {
        "picked_direction_p": split.picked_direction_p,
        "picked_drift_p": split.picked_drift_p,
    }
    groups = {"": split.overall} | {f"_h{h:02d}": parts for h, parts in split.by_horizon.items()}
    for suffix, parts in groups.items():
        figures |= {
            f"skill_width{suffix}": parts.width,
            f"skill_direction{suffix}": parts.direction,
            f"width_p{suffix}": parts.width_p,
            f"direction_p{suffix}": parts.direction_p,
            f"drift_p{suffix}": parts.drift_p,
        }
    return figures


def plain(value: Any) -> Any:
    """JSON twins of dataclasses' contents: arrays to lists, keys to text, not finite to null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def _candidate(candidate: CandidateEvaluation) -> dict[str, Any]:
    values: dict[str, Any] = {
        field.name: getattr(candidate, field.name)
        for field in fields(candidate)
        if field.name not in {"series", "backtests"}
    }
    for name in _NESTED:
        values[name] = {key: asdict(item) for key, item in values[name].items()}
    values["value_at_risk"] = {
        symbol: [asdict(test) for test in tests]
        for symbol, tests in candidate.value_at_risk.items()
    }
    values["variance"] = [asdict(score) for score in candidate.variance]
    values["pit"] = [asdict(histogram) for histogram in candidate.pit]
    values["overall"] = asdict(candidate.overall)
    values["split"] = asdict(candidate.split)
    values["conditional_coverage"] = asdict(candidate.conditional_coverage)
    values["backtests"] = {delay: _account(item) for delay, item in candidate.backtests.items()}
    return values


def _account(account: Backtest) -> dict[str, Any]:
    values = asdict(account)
    values["first"], values["last"] = str(account.dates[0]), str(account.dates[-1])
    del values["dates"], values["equity"]
    return values
