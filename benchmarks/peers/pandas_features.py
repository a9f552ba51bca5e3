"""The features of `forecasting.features.build` written as most people would: groupby-apply in pandas."""

import numpy as np
import pandas as pd


def describe(prices: pd.DataFrame) -> pd.DataFrame:
    """The columns of the default FeatureSpec plus scale and usable."""
    alone = prices.groupby("symbol", sort=False, group_keys=False).apply(_one, include_groups=False)
    instants = prices["timestamp"]
    for name in ("log_return_21", "realised_volatility_21", "volume_zscore_21"):
        moment = alone[name].groupby(instants)
        alone[f"rank_{name}"] = ((moment.rank() - 0.5) / moment.transform("count")).astype(
            "float32"
        )
    before = instants - pd.Timedelta(1, "ns")
    circles = (("day_of_week", before.dt.dayofweek, 7), ("month", before.dt.month - 1, 12))
    for name, place, size in circles:
        angle = place * (2.0 * np.pi / size)
        alone[f"{name}_sin"] = np.sin(angle).astype("float32")
        alone[f"{name}_cos"] = np.cos(angle).astype("float32")
    bar = prices.groupby("symbol", sort=False).cumcount()
    alone["usable"] = (bar >= 252) & alone.notna().all(axis=1) & (alone["scale"] > 1e-5)
    return alone


def _one(bars: pd.DataFrame) -> pd.DataFrame:
    factor = (bars["split"] * (1.0 + bars["dividend"] / bars["close"])).cumprod()
    opening, high, low, close = (bars[name] * factor for name in ("open", "high", "low", "close"))
    volume = np.log1p(bars["volume"] / bars["split"].cumprod())
    log_close = np.log(close)
    returns = log_close.diff()
    out: dict[str, pd.Series] = {}
    for window in (1, 2, 3, 5, 10, 21, 63, 126, 252):
        out[f"log_return_{window}"] = log_close.diff(window)
    for window in (5, 21, 50, 200):
        out[f"close_to_sma_{window}"] = close / close.rolling(window).mean() - 1.0
    for window in (12, 26):
        out[f"close_to_ema_{window}"] = close / close.ewm(span=window, adjust=False).mean() - 1.0
    out["close_to_high_252"] = close / high.rolling(252).max() - 1.0
    out["close_to_low_252"] = close / low.rolling(252).min() - 1.0
    change = close.diff()
    for window in (5, 14):
        gain = change.clip(lower=0.0).ewm(alpha=1.0 / window, adjust=False).mean()
        loss = (-change).clip(lower=0.0).ewm(alpha=1.0 / window, adjust=False).mean()
        out[f"rsi_{window}"] = ((gain - loss) / (gain + loss)).fillna(0.0)
    fast, slow = (close.ewm(span=span, adjust=False).mean() for span in (12, 26))
    line = fast - slow
    signal = line.ewm(span=9, adjust=False).mean()
    out["macd_12_26_9"] = line / close
    out["macd_signal_12_26_9"] = signal / close
    out["macd_histogram_12_26_9"] = (line - signal) / close
    middle, band = close.rolling(20).mean(), 2.0 * close.rolling(20).std(ddof=0)
    moving = band > 2e-6 * middle
    out["bollinger_position_20"] = ((close - middle) / band).where(moving, 0.0)
    out["bollinger_width_20"] = (2.0 * band / middle).where(moving, 0.0)
    before = close.shift()
    reach = np.maximum(high, before) - np.minimum(low, before)
    out["atr_14"] = reach.ewm(alpha=1.0 / 14, adjust=False).mean() / close
    for window in (5, 21, 63):
        out[f"realised_volatility_{window}"] = returns.rolling(window).std(ddof=0)
    out["ewma_volatility"] = np.sqrt((returns**2).ewm(alpha=0.06, adjust=True).mean())
    for window in (21, 63):
        deviation = volume.rolling(window).std(ddof=0)
        score = (volume - volume.rolling(window).mean()) / deviation
        out[f"volume_zscore_{window}"] = score.where(deviation > 1e-3, 0.0)
    out["intraday_range"] = np.log(high / low)
    out["overnight_gap"] = np.log(opening) - log_close.shift()
    out["close_location"] = ((2.0 * close - high - low) / (high - low)).where(high > low, 0.0)
    frame = pd.DataFrame(out).astype("float32")
    frame["scale"] = out["ewma_volatility"]
    return frame
