"""KServe is imported without what a model server never uses."""

import subprocess
import sys


def test_a_server_carries_neither_pandas_nor_the_kubernetes_client_nor_training():
    """Until own bars come it does not carry TA-Lib either, and then without pandas."""
    script = """
import sys
import serving.server
import forecasting.bundle.bundle, forecasting.features.online
heavy = {"pandas", "kubernetes", "talib", "sklearn", "mlflow", "kfp", "pyarrow", "sqlalchemy"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from serving.caller_bars import import_indicators
import_indicators()
assert "talib" in sys.modules and "pandas" not in sys.modules
import pandas
from kserve.protocol import infer_type
assert infer_type.pd.DataFrame is pandas.DataFrame
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
