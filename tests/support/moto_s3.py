"""An S3 server, until it is killed: `moto_s3.py HOST PORT [--threads]`.

Without `--threads` one request at a time: moto checks If-Match and writes in two steps, S3 in one.
"""

import sys

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

if __name__ == "__main__":
    host, port, *threads = sys.argv[1:]
    run_simple(host, int(port), DomainDispatcherApplication(create_backend_app), threaded=bool(threads))
