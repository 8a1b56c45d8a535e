"""ML Metadata's gRPC server: every call goes, as it is on the wire, to the store inside its Python package.

`metadata.py HOST PORT FILE`. Runs in an environment of its own: the package wants another protobuf than MMST.
"""

from __future__ import annotations

import sys
import threading
from concurrent import futures

import grpc
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store
from ml_metadata.proto import metadata_store_pb2

CODES = {code.value[0]: code for code in grpc.StatusCode}


class Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """`/ml_metadata.MetadataStoreService/METHOD` is the function METHOD of the store."""

    def __init__(self, file: str) -> None:
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = file
        self.store = metadata_store.CreateMetadataStore(
            config.SerializeToString(), metadata_store_pb2.MigrationOptions().SerializeToString()
        )
        self.lock = threading.Lock()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        function = getattr(metadata_store, details.method.rpartition("/")[2], None)
        if function is None:
            return None

        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            with self.lock:
                answer, message, code = function(self.store, request)
            if code:
                context.abort(CODES[code], message.decode())
            return bytes(answer)

        return grpc.unary_unary_rpc_method_handler(call)


if __name__ == "__main__":
    host, port, file = sys.argv[1:]
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Calls(file),))
    server.add_insecure_port(f"{host}:{port}")
    server.start()
    server.wait_for_termination()
