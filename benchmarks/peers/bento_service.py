"""The same model as a BentoML service."""

import os

import bentoml
import numpy as np
import xgboost


@bentoml.service(workers=1, traffic={"timeout": 30})
class Forecaster:
    def __init__(self) -> None:
        self.model = xgboost.XGBRegressor(n_jobs=1)
        self.model.load_model(os.environ["MODEL"])

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict(rows.astype(np.float32))
