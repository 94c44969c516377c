"""Asks two servers the same with tritonclient, as it is: KServe itself, and a node whose model is KServe's. The arguments are
two addresses each, where HTTP and gRPC are spoken; the last one is where a function of the node passes HTTP on to the model.
Fails where the node's answer is another one, by a single bit."""

import sys
import time

import numpy
import tritonclient.grpc
import tritonclient.http


def ask(triton, client, model, x, request_id, **binary):
    given = triton.InferInput("x", list(x.shape), "FP32")
    given.set_data_from_numpy(x, **binary)
    wanted = [triton.InferRequestedOutput("y", **binary)]
    answer = client.infer(model, [given], outputs=wanted, request_id=request_id)
    return answer.as_numpy("y")


def over_http(address, model, x, binary, request_id):
    client = tritonclient.http.InferenceServerClient(address)
    return ask(tritonclient.http, client, model, x, request_id, binary_data=binary)


def over_grpc(address, model, x, request_id):
    client = tritonclient.grpc.InferenceServerClient(address)
    return ask(tritonclient.grpc, client, model, x, request_id)


def wait_for(client):
    for _ in range(300):
        try:
            if client.is_model_ready("double"):
                return
        except (OSError, tritonclient.grpc.InferenceServerException):
            pass
        time.sleep(0.1)
    raise AssertionError("KServe did not start")


def check_node(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("classifier")


def main(kserve_http, kserve_grpc, node_http, node_grpc, function):
    wait_for(tritonclient.http.InferenceServerClient(kserve_http))
    wait_for(tritonclient.grpc.InferenceServerClient(kserve_grpc))
    for address in (node_http, function):
        client = tritonclient.http.InferenceServerClient(address)
        check_node(client)
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    client = tritonclient.grpc.InferenceServerClient(node_grpc)
    check_node(client)
    assert "binary_tensor_data" in client.get_server_metadata().extensions
    try:
        client.is_model_ready("classifier", "2")
    except tritonclient.grpc.InferenceServerException as error:
        assert "the model has the version 1 only" in str(error), error
    else:
        raise AssertionError("there is a version 2")
    numbers = numpy.random.default_rng(17)
    for elements in (3, 150_000):
        x = numbers.standard_normal((1, elements)).astype(numpy.float32)
        direct = over_http(kserve_http, "double", x, True, "1")
        assert direct.tobytes() == over_grpc(kserve_grpc, "double", x, "1").tobytes()
        for request_id in ("", "7"):
            answers = {"grpc": over_grpc(node_grpc, "classifier", x, request_id)}
            for address in (node_http, function):
                for binary in (True, False):
                    answer = over_http(address, "classifier", x, binary, request_id)
                    answers[f"http at {address}, binary {binary}"] = answer
            for way, answer in answers.items():
                assert answer.tobytes() == direct.tobytes(), (elements, request_id, way)
    x = numpy.zeros((1, 2), numpy.float32)
    for ask_long in (
        lambda: over_http(node_http, "classifier", x, True, "x" * 1000),
        lambda: over_grpc(node_grpc, "classifier", x, "x" * 1000),
    ):
        try:
            ask_long()
        except (tritonclient.http.InferenceServerException, tritonclient.grpc.InferenceServerException) as error:
            assert "the name of the request has 1000 bytes" in str(error), error
        else:
            raise AssertionError("an id of 1000 bytes was taken")
    print("alike")


main(*sys.argv[1:])
