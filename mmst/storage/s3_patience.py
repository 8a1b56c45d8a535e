"""Retries for an S3 server: wait if a problem may pass, raise at once if it cannot.

Requests with server errors, `SlowDown`, timeouts, resets and broken answers are repeated with growing, jittered
pauses, never sooner than the server asks (`Retry-After`), for `TOTAL` seconds per request. This is as long as a
request to a model server may take (`sampling.deadline`). For a server that has never answered, the limit is `REACH`
seconds, because its address is probably wrong.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    InvalidProxiesConfigError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from mmst.core import metrics
from mmst.core.redaction import redacted

T = TypeVar("T")

TOTAL = 600.0
REACH = 20.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
CONFLICTS = {"ConditionalRequestConflict", "OperationAborted", "409"}
"""Another writer is active: check the condition again."""
_PASSING = CONFLICTS | {
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "RequestTimeout",
    "InternalError",
    "ServiceUnavailable",
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
}
TROUBLE = (ClientError, BotoCoreError, Boto3Error, ResponseParserError)
"""All errors that boto3 raises about a server."""


class Exhausted(Exception):
    """A problem that did not pass in time; its cause is the last error."""


class Patience:
    """Repeats requests to one server.

    Example:
        patience = Patience()
        data = patience(lambda: client.get_object(Bucket=b, Key=k)["Body"].read())
    """

    def __init__(self) -> None:
        self.answered = False

    def __call__(self, ask: Callable[[], T]) -> T:
        """The result of `ask`; its error if that cannot pass, `Exhausted` if it did not pass in time."""
        began, pause, troubles = time.monotonic(), FIRST_PAUSE, Counter[str]()
        while True:
            try:
                found = ask()
            except TROUBLE as e:
                error = root(e)
                if not passing(error):
                    raise error from None
                self.answered = self.answered or isinstance(error, ClientError)
                troubles[" ".join(redacted(str(error)).split())[:160] or type(error).__name__] += 1
                total = TOTAL if self.answered else REACH
                left, after = began + total - time.monotonic(), asked_pause(error)
                if left < max(after, FIRST_PAUSE):
                    tries = "; ".join(f"{n} × {what}" for what, n in troubles.items())
                    raise Exhausted(f"it did not pass within {total:g} s: {tries}") from error
                metrics.retry("s3", error)
                # Never past the end, nor up to it: trouble may pass in its second half too.
                time.sleep(max(after, min(pause * random.uniform(0.5, 1.5), left / 2)))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self.answered = True
                return found


def root(error: Exception) -> Exception:
    """The original error of a request, from the error of a file transfer."""
    found: BaseException | None = error
    while isinstance(found, Boto3Error):
        found = getattr(found, "last_exception", None) or found.__cause__ or found.__context__
    return found if isinstance(found, Exception) else error


def passing(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return code(error) in _PASSING or status in (408, 425, 429) or (status >= 500 and status != 501)
    if isinstance(error, SSLError) and "CERTIFICATE" in str(error).upper():
        return False
    if isinstance(error, InvalidProxiesConfigError):
        return False
    return isinstance(error, HTTPClientError | NoConnection | IncompleteReadError | ResponseParserError)


def asked_pause(error: Exception) -> float:
    """The seconds that a server asks to wait; 0 if that is not a number, or exceeds all patience."""
    if not isinstance(error, ClientError):
        return 0.0
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        seconds = float(headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < TOTAL else 0.0


def code(error: Exception) -> str:
    """The S3 code of a server's refusal; empty for other errors."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
