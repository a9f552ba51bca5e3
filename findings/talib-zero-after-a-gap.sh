#!/usr/bin/env bash
# TA-Lib 0.8.2 (C library 0.8.1): after one missing close the averages and deviations are NaN, as one
# expects, but indicators that guard a division answer numbers for good: RSI and CMO 0, which reads as
# the deepest oversold and as neutral, ADX the value it had. So a NaN that drops such rows elsewhere
# drops none here. Remedy: cut the series at its gaps, or fill them, before the indicator.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check TA-Lib==0.8.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import talib

print("TA-Lib", talib.__version__, "C library", talib.__ta_version__.decode().split()[0])
random = np.random.default_rng(0)
close = 100 * np.exp(np.cumsum(0.01 * random.normal(size=400)))
gap = close.copy()
gap[200] = np.nan


def indicators(close):
    return {
        "SMA": talib.SMA(close, 14),
        "STDDEV": talib.STDDEV(close, 14),
        "RSI": talib.RSI(close, 14),
        "CMO": talib.CMO(close, 14),
        "ADX": talib.ADX(1.005 * close, 0.995 * close, close, 14),
    }


whole, holed = indicators(close), indicators(gap)
for name, values in holed.items():
    print(f"{name}, the last bar: {values[-1]:.2f}, without the gap {whole[name][-1]:.2f}")
after = slice(201, None)
assert np.isnan(holed["SMA"][after]).all() and np.isnan(holed["STDDEV"][after]).all()
assert (holed["RSI"][after] == 0).all() and (holed["CMO"][after] == 0).all()
assert np.ptp(holed["ADX"][230:]) < 1e-9 and np.ptp(whole["ADX"][230:]) > 5
assert whole["RSI"][after].min() > 5
PYTHON
