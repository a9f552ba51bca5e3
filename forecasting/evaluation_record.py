"""An evaluation as plain JSON values."""

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasting.backtest import Backtest

if TYPE_CHECKING:
    from forecasting.evaluation import CandidateEvaluation, Evaluation


def record(evaluation: "Evaluation") -> dict[str, Any]:
    """Everything but loss series and equity curves; null for what is not finite."""
    first, last = (np.datetime64(int(evaluation.instants[i]), "ns") for i in (0, -1))
    kept: dict[str, Any] = plain(
        {
            "alpha": evaluation.alpha,
            "horizons": evaluation.horizons,
            "signal": {
                "horizon": evaluation.signal_horizon,
                "cost": evaluation.cost,
                "threshold": evaluation.threshold,
            },
            "symbols": evaluation.symbols,
            "first": str(first.astype("datetime64[s]")) + "Z",
            "last": str(last.astype("datetime64[s]")) + "Z",
            "periods": evaluation.periods,
            "overlap": evaluation.overlap,
            "spa_p_value": evaluation.spa_p_value,
            "best": evaluation.best,
            "trials": evaluation.trials,
            "seed": evaluation.seed,
            "buy_and_hold": _account(evaluation.buy_and_hold),
            "candidates": {
                name: _candidate(candidate) for name, candidate in evaluation.candidates.items()
            },
        }
    )
    return kept


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


def _candidate(candidate: "CandidateEvaluation") -> dict[str, Any]:
    kept: dict[str, Any] = {
        field.name: getattr(candidate, field.name)
        for field in fields(candidate)
        if field.name not in {"series", "backtests"}
    }
    for name in ("by_horizon", "by_symbol", "hit_rate", "information_coefficient"):
        kept[name] = {key: asdict(item) for key, item in kept[name].items()}
    kept["overall"] = asdict(candidate.overall)
    kept["backtests"] = {delay: _account(item) for delay, item in candidate.backtests.items()}
    return kept


def _account(account: Backtest) -> dict[str, Any]:
    kept = asdict(account)
    kept["first"], kept["last"] = str(account.dates[0]), str(account.dates[-1])
    del kept["dates"], kept["equity"]
    return kept
