"""A collector made of what others wrote: opentelemetry-proto's messages on grpcio and http.server.

Usage: otlp_receiver.py PROTOCOL ANSWERS [CERTIFICATE KEY]
PROTOCOL is grpc or http. ANSWERS says what is answered in turn, separated by commas; the last one
goes on for ever:
  ok            everything is taken
  partial:N     N spans are rejected
  CODE          a gRPC status by name (UNAVAILABLE), or an HTTP status (503)
  hang          never answered, as long as this runs
It prints the port it listens on, then a line of JSON for each request when it comes in, before it is
answered. It ends when its standard input does.
"""

import http.server
import json
import os
import sys
import threading
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service_grpc

for_ever = threading.Event()
lock = threading.Lock()


class Answers:
    def __init__(self, text):
        self.left = text.split(",")

    def next(self):
        with lock:
            return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def tell(request, headers):
    def attributes(pairs):
        return {pair.key: pair.value.string_value for pair in pairs}

    spans = []
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                spans.append({
                    "name": span.name,
                    "trace_id": span.trace_id.hex(),
                    "span_id": span.span_id.hex(),
                    "parent_id": span.parent_span_id.hex(),
                    "kind": span.kind,
                    "resource": resource,
                    "scope": of_scope.scope.name,
                    "links": [[link.trace_id.hex(), link.span_id.hex()] for link in span.links],
                })
    with lock:
        print(json.dumps({"headers": headers, "spans": spans}), flush=True)


def response(answer):
    message = service.ExportTraceServiceResponse()
    if answer.startswith("partial:"):
        message.partial_success.rejected_spans = int(answer.split(":")[1])
        message.partial_success.error_message = "not these"
    return message


class Grpc(service_grpc.TraceServiceServicer):
    def __init__(self, answers):
        self.answers = answers

    def Export(self, request, context):
        headers = dict(context.invocation_metadata())
        headers["deadline"] = context.time_remaining() is not None
        tell(request, headers)
        answer = self.answers.next()
        if answer == "hang":
            for_ever.wait()
        if answer != "ok" and not answer.startswith("partial:"):
            context.abort(grpc.StatusCode[answer], "as it was told")
        return response(answer)


def serve_grpc(answers, files):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    service_grpc.add_TraceServiceServicer_to_server(Grpc(answers), server)
    if files:
        certificate, key = (open(path, "rb").read() for path in files)
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        return server.add_secure_port("localhost:0", credentials), server.start
    return server.add_insecure_port("127.0.0.1:0"), server.start


def serve_http(answers):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            request = service.ExportTraceServiceRequest.FromString(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            headers[":path"] = self.path
            tell(request, headers)
            answer = answers.next()
            if answer == "hang":
                for_ever.wait()
            status = int(answer) if answer.isdigit() else 200
            body = response(answer).SerializeToString()
            self.send_response(status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    return server.server_address[1], thread.start


def main():
    protocol, answers, *files = sys.argv[1:]
    answers = Answers(answers)
    port, start = serve_grpc(answers, files) if protocol == "grpc" else serve_http(answers)
    start()
    print(port, flush=True)
    sys.stdin.read()


main()
# Threads that hang are not waited for.
sys.stdout.flush()
os._exit(0)
