"""The same model on the KServe SDK as its documentation shows it: defaults everywhere."""

import os

import numpy as np
import xgboost
from kserve import InferOutput, InferResponse, Model, ModelServer


class Forecaster(Model):
    def __init__(self) -> None:
        super().__init__("model")
        self.model = xgboost.XGBRegressor(n_jobs=1)
        self.model.load_model(os.environ["MODEL"])
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        out = self.model.predict(payload.inputs[0].as_numpy().astype(np.float32))
        tensor = InferOutput("predict", list(out.shape), "FP32", data=out.ravel().tolist())
        return InferResponse(payload.id or "0", "model", [tensor])


if __name__ == "__main__":
    ModelServer().start([Forecaster()])
