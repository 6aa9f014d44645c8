"""A server of litserve."""

import os
import sys

import litserve
import numpy as np
import onnxruntime


class Api(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def decode_request(self, request):
        return np.array(request["data"], dtype=np.float32)

    def predict(self, data):
        return self.session.run(None, {self.name: data})[0]

    def encode_response(self, output):
        return {"result": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", max_payload_size=100_000_000)
    server.run(host=sys.argv[1], port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
