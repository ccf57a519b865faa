"""A gRPC service, Python's `grpcio`, on a free port that it prints. Messages are bytes; the methods of /test.Echo do:

Unary returns the request; ServerStream returns as many messages as the request says; ClientStream returns how many came and
how long they were together; Bidi returns each message; Metadata returns what came and sends some itself; Fail fails with
the status that the request names; Slow waits until it is told to stop, and Left says how many such calls were cancelled
and Begun how many there were;
Deadline says how much time is left; Blob returns as many bytes as the request says.
"""

import json
import sys
import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

left, begun, lock = [0], [0], threading.Lock()


def unary(request, _context):
    return request


def server_stream(request, _context):
    for number in range(int(request)):
        yield str(number).encode()


def client_stream(requests, _context):
    count = size = 0
    for request in requests:
        count, size = count + 1, size + len(request)
    return f"{count} {size}".encode()


def bidi(requests, _context):
    for request in requests:
        yield request


def metadata(_request, context):
    came = {}
    for key, value in context.invocation_metadata():
        came.setdefault(key, []).append(value.hex() if isinstance(value, bytes) else value)
    context.send_initial_metadata([("x-initial", "one"), ("x-initial-bin", b"\x00\xff\x01")])
    context.set_trailing_metadata([("x-trailing", "two"), ("x-trailing-bin", b"\xfe\x00")])
    return json.dumps(came).encode()


def fail(request, context):
    code = next(code for code in grpc.StatusCode if code.value[0] == int(request))
    context.set_trailing_metadata([("x-why", "because")])
    context.abort(code, "failed: \N{SNOWMAN} 100%")


def slow(_request, context):
    with lock:
        begun[0] += 1
    over = threading.Event()
    context.add_callback(over.set)
    over.wait(30)
    with lock:
        left[0] += 1
    return b"late"


def slow_stream(request, context):
    yield b"first"
    yield slow(request, context)


def deadline(_request, context):
    return str(context.time_remaining()).encode()


def blob(request, _context):
    return b"x" * int(request)


def main():
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=options)
    answer, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    methods = {
        "Unary": answer(unary),
        "ServerStream": stream(server_stream),
        "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
        "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
        "Metadata": answer(metadata),
        "Fail": answer(fail),
        "Slow": answer(slow),
        "SlowStream": stream(slow_stream),
        "Left": answer(lambda _request, _context: str(left[0]).encode()),
        "Begun": answer(lambda _request, _context: str(begun[0]).encode()),
        "Deadline": answer(deadline),
        "Blob": answer(blob),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", methods)])
    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    for line in sys.stdin:
        state = line.strip()
        healthy.set("", getattr(health_pb2.HealthCheckResponse, state))
        print(state, flush=True)
    server.stop(0)


main()
