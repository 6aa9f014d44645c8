"""A service of bentoml."""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service
class Scorer:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    @bentoml.api
    def score(self, data: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.name: data.astype(np.float32)})[0]
