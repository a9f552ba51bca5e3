"""A forecast in the terminal: a small table, and a PNG fan chart on request."""

from datetime import UTC
from pathlib import Path

from rich.table import Table

from bellwether.console import table
from forecasting.adapters.inference import SymbolForecast
from gradio_app import formatting

SHOWN_DAYS = (1, 2, 3, 5, 10, 15, 20, 30)


def forecast_table(forecast: SymbolForecast) -> Table:
    """Quantiles per horizon day of one symbol; long horizons are thinned to the usual days."""
    days = len(forecast.quantiles)
    shown = [day for day in range(1, days + 1) if days <= 10 or day in SHOWN_DAYS or day == days]
    rows = []
    for day in shown:
        prices = [formatting.price(price) for price in forecast.quantiles[day - 1]]
        rise = f"{forecast.probability_of_rise[day - 1]:.0%}"
        closes = formatting.bar_end(forecast.target_times[day - 1], forecast.interval)
        rows.append([str(day), closes, *prices, rise])
    title = (
        f"{forecast.symbol}: last close {formatting.price(forecast.last_close)}, "
        f"signal {forecast.signal.upper()}"
    )
    return table(title, [">bar", "closes", ">p05", ">p25", ">p50", ">p75", ">p95", ">rises"], rows)


def provenance(forecast: SymbolForecast) -> str:
    """One line that says what the forecast rests on."""
    parts = [
        f"as of {forecast.as_of:%Y-%m-%d %H:%M} UTC",
        f"model {forecast.model_version} ({forecast.model_kind.replace('_', ' ')})",
        f"source {forecast.source}",
    ]
    if forecast.calibration:
        parts.insert(2, f"calibration {forecast.calibration}")
    if forecast.replay:
        parts.append("historical replay, not today's prices")
    if forecast.synthetic:
        parts.append("SYNTHETIC prices")
    if forecast.stale:
        parts.append("STALE: the newest bar is older than it should be")
    return "; ".join(parts)


def plot(forecast: SymbolForecast, path: Path) -> None:
    """Write the fan chart of one forecast as a PNG."""
    import numpy as np
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.8), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    start = forecast.as_of.astimezone(UTC)
    times = np.array([date2num(time) for time in (start, *forecast.target_times)])
    bands = [[forecast.last_close] * 5, *forecast.quantiles]
    p05, p25, p50, p75, p95 = zip(*bands, strict=True)
    axes.fill_between(times, p05, p95, color="#0072b2", alpha=0.15, lw=0, label="90 % interval")
    axes.fill_between(times, p25, p75, color="#0072b2", alpha=0.30, lw=0, label="50 % interval")
    axes.plot(times, p50, color="#0072b2", lw=1.8, label="median")
    axes.axhline(forecast.last_close, color="#d55e00", lw=1, ls="--", label="random walk")
    axes.set_title(
        f"{forecast.symbol}: {formatting.bars(len(times) - 1, forecast.interval)}, signal {forecast.signal}"
    )
    axes.set_xlabel(provenance(forecast), fontsize=8)
    axes.set_ylabel("price")
    axes.legend(frameon=False, loc="upper left", ncols=4, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    dates = AutoDateLocator()
    axes.xaxis.set_major_locator(dates)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(dates))
    part = path.with_name(f".{path.name}.part")
    figure.savefig(part, format="png")
    part.replace(path)
