"""What a good engineer writes by hand: FastAPI, orjson, XGBRegressor.predict."""

import os

import numpy as np
import orjson
import xgboost
from fastapi import FastAPI, Request, Response

model = xgboost.XGBRegressor(n_jobs=1)
model.load_model(os.environ["MODEL"])
app = FastAPI()


@app.get("/v2/health/ready")
async def ready():
    return {"ready": True}


@app.post("/v2/models/model/infer")
async def infer(request: Request):
    tensor = orjson.loads(await request.body())["inputs"][0]
    rows = np.asarray(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
    out = model.predict(rows)
    answer = {
        "model_name": "model",
        "outputs": [
            {"name": "predict", "datatype": "FP32", "shape": out.shape, "data": out.ravel()}
        ],
    }
    return Response(
        orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
    )
