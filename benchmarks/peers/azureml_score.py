"""Entry script of azureml-inference-server-http."""

import json
import os

import numpy as np
import onnxruntime


def init():
    global session, name
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name


def run(raw_data):
    data = np.array(json.loads(raw_data)["data"], dtype=np.float32)
    return session.run(None, {name: data})[0].tolist()
