"""Asks two servers the same with tritonclient, as it is: KServe itself, and a node whose model is KServe's. The arguments are
their addresses. Fails where the node's answer is another one, by a single bit."""

import sys
import time

import numpy
import tritonclient.http as triton


def ask(address, model, x, binary, request_id):
    client = triton.InferenceServerClient(address)
    given = triton.InferInput("x", list(x.shape), "FP32")
    given.set_data_from_numpy(x, binary_data=binary)
    wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
    return client.infer(model, [given], outputs=wanted, request_id=request_id).as_numpy("y")


def main(kserve, node):
    client = triton.InferenceServerClient(kserve)
    for _ in range(300):
        try:
            if client.is_model_ready("double"):
                break
        except OSError:
            pass
        time.sleep(0.1)
    client = triton.InferenceServerClient(node)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("classifier")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    numbers = numpy.random.default_rng(17)
    for elements in (3, 150_000):
        x = numbers.standard_normal((1, elements)).astype(numpy.float32)
        direct = ask(kserve, "double", x, True, "1")
        for binary in (True, False):
            for request_id in ("", "7"):
                answer = ask(node, "classifier", x, binary, request_id)
                assert answer.tobytes() == direct.tobytes(), (elements, binary, request_id)
    try:
        ask(node, "classifier", numpy.zeros((1, 2), numpy.float32), True, "x" * 1000)
    except triton.InferenceServerException as error:
        assert "the name of the request has 1000 bytes" in str(error), error
    else:
        raise AssertionError("an id of 1000 bytes was taken")
    print("alike")


main(*sys.argv[1:])
