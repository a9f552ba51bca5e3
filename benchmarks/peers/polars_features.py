"""The features of `forecasting.features.build` as one lazy polars query with windows over symbols."""

import math

import polars as pl


def describe(prices: pl.DataFrame) -> pl.DataFrame:
    """The columns of the default FeatureSpec plus scale and usable."""
    adjusted = prices.lazy().with_columns(
        (pl.col("split") * (1.0 + pl.col("dividend") / pl.col("close")))
        .cum_prod()
        .over("symbol")
        .alias("factor"),
        pl.col("split").cum_prod().over("symbol").alias("shares"),
    )
    adjusted = adjusted.with_columns(
        *(pl.col(name) * pl.col("factor") for name in ("open", "high", "low", "close")),
        (pl.col("volume") / pl.col("shares")).log1p().alias("volume"),
    )
    close = pl.col("close")
    adjusted = adjusted.with_columns(
        close.log().alias("log_close"),
        close.diff().over("symbol").alias("change"),
        close.shift().over("symbol").alias("before"),
        close.ewm_mean(span=12, adjust=False).over("symbol").alias("fast"),
        close.ewm_mean(span=26, adjust=False).over("symbol").alias("slow"),
        close.rolling_mean(20).over("symbol").alias("middle"),
        (2.0 * close.rolling_std(20, ddof=0)).over("symbol").alias("band"),
    ).with_columns(
        pl.col("log_close").diff().over("symbol").alias("returns"),
        (pl.col("fast") - pl.col("slow")).alias("line"),
    )
    adjusted = adjusted.with_columns(
        pl.col("line").ewm_mean(span=9, adjust=False).over("symbol").alias("signal")
    )
    features = adjusted.select("symbol", "timestamp", *_alone())
    circles = (
        ("day_of_week", pl.col("timestamp").dt.offset_by("-1ns").dt.weekday() - 1, 7),
        ("month", pl.col("timestamp").dt.offset_by("-1ns").dt.month() - 1, 12),
    )
    features = features.with_columns(
        *(
            ((pl.col(name).rank().over("timestamp") - 0.5) / pl.col(name).count().over("timestamp"))
            .cast(pl.Float32)
            .alias(f"rank_{name}")
            for name in ("log_return_21", "realised_volatility_21", "volume_zscore_21")
        ),
        *(
            (place * (2.0 * math.pi / size)).sin().cast(pl.Float32).alias(f"{name}_sin")
            for name, place, size in circles
        ),
        *(
            (place * (2.0 * math.pi / size)).cos().cast(pl.Float32).alias(f"{name}_cos")
            for name, place, size in circles
        ),
        pl.int_range(pl.len()).over("symbol").alias("bar"),
    )
    whole = pl.all_horizontal(pl.exclude("symbol", "timestamp", "bar", "scale").is_not_null())
    usable = (pl.col("bar") >= 252) & whole & (pl.col("scale") > 1e-5)
    return features.with_columns(usable.alias("usable")).drop("bar").collect()


def _alone() -> list[pl.Expr]:
    close, high, low = pl.col("close"), pl.col("high"), pl.col("low")
    log_close, returns, volume = pl.col("log_close"), pl.col("returns"), pl.col("volume")
    change, before = pl.col("change"), pl.col("before")
    line, signal = pl.col("line"), pl.col("signal")
    middle, band = pl.col("middle"), pl.col("band")
    out: dict[str, pl.Expr] = {}
    for window in (1, 2, 3, 5, 10, 21, 63, 126, 252):
        out[f"log_return_{window}"] = log_close.diff(window).over("symbol")
    for window in (5, 21, 50, 200):
        out[f"close_to_sma_{window}"] = close / close.rolling_mean(window).over("symbol") - 1.0
    out["close_to_ema_12"] = close / pl.col("fast") - 1.0
    out["close_to_ema_26"] = close / pl.col("slow") - 1.0
    out["close_to_high_252"] = close / high.rolling_max(252).over("symbol") - 1.0
    out["close_to_low_252"] = close / low.rolling_min(252).over("symbol") - 1.0
    for window in (5, 14):
        gain = change.clip(lower_bound=0.0).ewm_mean(alpha=1.0 / window, adjust=False)
        loss = (-change).clip(lower_bound=0.0).ewm_mean(alpha=1.0 / window, adjust=False)
        strength = (gain - loss) / (gain + loss)
        out[f"rsi_{window}"] = strength.fill_nan(0.0).over("symbol")
    out["macd_12_26_9"] = line / close
    out["macd_signal_12_26_9"] = signal / close
    out["macd_histogram_12_26_9"] = (line - signal) / close
    moving = band > 2e-6 * middle
    out["bollinger_position_20"] = pl.when(moving).then((close - middle) / band).otherwise(0.0)
    out["bollinger_width_20"] = pl.when(moving).then(2.0 * band / middle).otherwise(0.0)
    reach = pl.max_horizontal(high, before) - pl.min_horizontal(low, before)
    out["atr_14"] = reach.ewm_mean(alpha=1.0 / 14, adjust=False).over("symbol") / close
    for window in (5, 21, 63):
        out[f"realised_volatility_{window}"] = returns.rolling_std(window, ddof=0).over("symbol")
    scale = (returns**2).ewm_mean(alpha=0.06, adjust=True).sqrt().over("symbol")
    out["ewma_volatility"] = scale
    for window in (21, 63):
        deviation = volume.rolling_std(window, ddof=0).over("symbol")
        score = (volume - volume.rolling_mean(window).over("symbol")) / deviation
        out[f"volume_zscore_{window}"] = pl.when(deviation > 1e-3).then(score).otherwise(0.0)
    out["intraday_range"] = (high / low).log()
    out["overnight_gap"] = pl.col("open").log() - log_close.shift().over("symbol")
    place = (2.0 * close - high - low) / (high - low)
    out["close_location"] = pl.when(high > low).then(place).otherwise(0.0)
    columns = [column.cast(pl.Float32).alias(name) for name, column in out.items()]
    return [*columns, scale.alias("scale")]
