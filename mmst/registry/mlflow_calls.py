"""All calls to MLflow: repeated if a problem may pass, else raised as a `RegistryError`.

A problem that may pass (no connection, a time-out, an answer of 5xx or 429, or an answer that is not from MLflow,
such as a proxy's while the server starts) is retried with growing pauses, up to a total time. A refusal, or a
problem that only a change here can fix, fails at once.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mmst.core import metrics
from mmst.core.errors import MmstError, RegistryError
from mmst.core.ports import Progress, Task
from mmst.core.redaction import redacted, without_user

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds to wait for a problem to pass: a server that is restarted, moved or migrated."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
_AGAIN = {408, 425, 429, 499}
_NEVER = {501, 505, 507}
_STATUS = re.compile(
    r"failed with error code (\d{3})\b|too many (\d{3}) error responses|\b(\d{3}) (?:Client|Server) Error"
)
_ERRORS = {
    "mlflow.exceptions": ("MlflowException",),
    "requests.exceptions": ("RequestException",),
    "urllib3.exceptions": ("HTTPError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "boto3.exceptions": ("Boto3Error",),
    "sqlalchemy.exc": ("SQLAlchemyError",),
    "alembic.util.exc": ("CommandError",),
    "google.protobuf.message": ("Error",),
    "google.protobuf.json_format": ("Error",),
}
"""The errors of MLflow's client and the clients that it uses, by the module that defines them."""
_PASSES = {
    "requests.exceptions": ("ConnectionError", "Timeout", "ChunkedEncodingError", "ContentDecodingError", "RetryError"),
    "urllib3.exceptions": ("HTTPError",),
    "botocore.exceptions": ("HTTPClientError", "ConnectionError"),
}
_STAYS = {
    "requests.exceptions": ("SSLError", "InvalidURL", "MissingSchema", "InvalidSchema", "InvalidProxyURL"),
    "urllib3.exceptions": ("SSLError", "LocationValueError"),
    "botocore.exceptions": ("SSLError", "ProxyConnectionError"),
}
_REMEDIES = {
    r"NoCredentials|locate credentials": "give this process the bucket's credentials (AWS_ACCESS_KEY_ID …), or let the "
    "server store artifacts: mlflow server --artifacts-destination",
    r"AccessDenied|Forbidden": "these credentials must be allowed to write the server's artifact store",
    r"NoSuchBucket": "create the bucket that the server's artifact root names",
    r"PERMISSION_DENIED|\b403\b": "let this user write the experiment and the registered model; where the server "
    "refuses its host name, start it with --allowed-hosts",
    r"\b401\b|UNAUTHENTICATED|CUSTOMER_UNAUTHORIZED": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN",
    r"\b413\b": "raise the limit for request bodies of the proxy before the server",
    r"out-of-date database schema|Can't locate revision": "mlflow db upgrade ADDRESS, or use the version of MLflow "
    "that made it",
    r"No space left": "free space there; the same command then continues",
    r"CERTIFICATE|SSLError": "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of the server's authority",
    r"Permission denied": "make it writable for this user; behind a server, start that with --artifacts-destination",
}
"""Remedies, by the text of an error and its causes."""


class Away(RegistryError):
    """No server answers at the address."""


def reach(uri: str, attempts: int = 3, seconds: float = 2.5) -> None:
    """Return if an MLflow server answers at `uri`, else raise `RegistryError` within about 10 s.

    Anything but `http(s)://` passes. Any HTTP answer counts: a proxy may hide `/health`.
    """
    if not uri.startswith(("http://", "https://")):
        return
    address, headers = without_user(uri.rstrip("/"))
    for left in reversed(range(attempts)):
        try:
            asked = urllib.request.Request(f"{address}/health", headers=headers)
            urllib.request.urlopen(asked, timeout=seconds).close()
            return
        except urllib.error.HTTPError:
            return
        except (OSError, http.client.HTTPException, ValueError) as e:
            if not left:
                reason = getattr(e, "reason", None) or _line(e)
                raise Away(
                    f"no MLflow server answers at {redacted(uri)} ({reason})",
                    remedy=_remedy(),
                ) from e
            time.sleep(0.5)


class Patient:
    """A client that repeats each call while MLflow is away: what is done stays done if a later call fails."""

    def __init__(self, client: Any, ask: Callable[[Callable[[], Any]], Any]) -> None:
        self._client, self._ask = client, ask

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **kwargs: self._ask(lambda: method(*args, **kwargs))


def patiently(attempt: Callable[[], T], uri: str, patience: float, progress: Progress) -> T:
    """The result of `attempt`; repeated while its problem may pass, for `patience` seconds.

    It must be repeatable, because the reply to a successful one may be lost. After that time, `RegistryError`; a
    problem that will not pass is raised unchanged.
    """
    server = uri.startswith(("http://", "https://"))
    end, pause, troubles = time.monotonic() + patience, FIRST_PAUSE, Counter[str]()
    with contextlib.ExitStack() as held:
        task: Task | None = None
        while True:
            try:
                if troubles and server:
                    reach(uri, attempts=1)  # soon, where one that hangs would hold up a request for minutes
                return attempt()
            except Away as e:
                error: Exception = e
            except MmstError:
                raise
            except raised() as e:
                for inner in _chain(e):
                    if isinstance(inner, MmstError):  # Ctrl-C, which the client takes for trouble of its own
                        raise inner from None
                if not passes(e, server):
                    raise
                error = e
            why = _line(error)
            troubles[why] += 1
            left = end - time.monotonic()
            if left <= FIRST_PAUSE:
                raise gave_up(uri, error, troubles, patience) from error
            metrics.retry("mlflow", why)
            if task is None:
                task = held.enter_context(progress.task("waiting for MLflow", round(patience), "s"))
            rest = min(pause * random.uniform(0.5, 1.5), left / 2)
            pause = min(2 * pause, LONGEST_PAUSE)
            time.sleep(rest)
            task.advance(max(1, round(rest)), note=why[:120])


@contextlib.contextmanager
def translated(uri: str, hint: str = "") -> Iterator[None]:
    """Turn errors of MLflow's clients into `RegistryError`; `hint` is added to its text."""
    try:
        yield
    except MmstError:
        raise
    except raised() as e:
        raise refused(uri, e, hint) from e


@contextlib.contextmanager
def unless(code: str) -> Iterator[None]:
    """Ignore an error with this code: the wanted state is already there."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as e:
        if e.error_code != code:
            raise


def raised() -> tuple[type[Exception], ...]:
    """The errors that the clients may raise, of the modules that are loaded.

    The plain kinds besides their own come from answers in another form than MLflow's.
    """
    plain = (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError, ImportError)
    return (*plain, *_classes(_ERRORS))


def passes(error: BaseException, server: bool) -> bool:
    """Whether the problem may pass by itself. `server`: MLflow over HTTP, not a database."""
    chain = list(_chain(error))
    if any(isinstance(e, Away) for e in chain):
        return True
    if any(isinstance(e, _classes(_STAYS)) for e in chain):
        return False
    if (code := status(error)) is not None:
        return (code >= 500 and code not in _NEVER) or code in _AGAIN
    if any(
        isinstance(e, (*_classes(_PASSES), ConnectionError, TimeoutError, http.client.HTTPException)) for e in chain
    ):
        return True
    if any(isinstance(e, OSError) for e in chain):
        return False  # of this machine: no space, no right
    if isinstance(error, _classes({"mlflow.exceptions": ("MlflowException",)})):
        wanted = int(getattr(error, "get_http_status_code")())  # noqa: B009 (the class is known only where loaded)
        return wanted in (429, 503) or (server and wanted >= 500 and wanted not in _NEVER)
    if any(isinstance(e, _classes({"sqlalchemy.exc": ("OperationalError", "TimeoutError")})) for e in chain):
        return True
    return server and _no_answer(error)


def status(error: BaseException) -> int | None:
    """The HTTP status of an error, if it has one."""
    for e in _chain(error):
        answer = getattr(e, "response", None)
        if isinstance(answer, dict):
            code = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            code = getattr(answer, "status_code", None)
        if isinstance(code, int):
            return code
    found = _STATUS.search(str(error))
    return int(next(g for g in found.groups() if g)) if found else None


def refused(uri: str, error: BaseException, hint: str = "") -> RegistryError:
    """The error for a problem that will not pass: the message of MLflow or its artifact store, and the remedy."""
    text = _line(error)
    remedy = next((r for pattern, r in _REMEDIES.items() if re.search(pattern, f"{_kinds(error)} {error}")), "")
    if not (remedy or hint):
        remedy = "see the server's log; the same command then continues"
    return RegistryError(f"MLflow at {redacted(uri)}: {text}", why=hint, remedy=remedy)


def gave_up(uri: str, error: BaseException, troubles: Counter[str], patience: float) -> RegistryError:
    """The error at the end of patience."""
    tries = "; ".join(f"{n} × {what}" for what, n in troubles.most_common(3))
    if isinstance(error, Away):
        what = f"no MLflow server answers at {redacted(uri)}"
        remedy = _remedy()
    else:
        what, remedy = f"MLflow at {redacted(uri)} is in trouble", "see the server's log"
    return RegistryError(f"{what}, for {patience:g} s ({tries})", remedy=f"{remedy}; the same command then continues")


def _remedy() -> str:
    """What to do about a server that is away: a pod cannot use SQLite instead."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "see that its pod runs and that the release's mlflow.address names its Service"
    return "start it, or leave promote.tracking_uri and MLFLOW_TRACKING_URI empty to use SQLite"


def _no_answer(error: BaseException) -> bool:
    """Whether an answer was not from MLflow: no JSON, or JSON of another form."""
    shapes = (ValueError, LookupError, TypeError, AttributeError)
    return isinstance(error, shapes + _classes({"google.protobuf.json_format": ("Error",)}))


def _classes(named: dict[str, tuple[str, ...]]) -> tuple[type[Exception], ...]:
    """The exception classes of these names in loaded modules: no others can have been raised."""
    loaded = ((sys.modules.get(module), names) for module, names in named.items())
    return tuple(kind for module, names in loaded for name in names if (kind := getattr(module, name, None)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes; MLflow and boto3 often raise theirs without `from`."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _kinds(error: BaseException) -> str:
    return " ".join(f"{type(e).__name__} {getattr(e, 'error_code', '')}" for e in _chain(error))


def _line(error: BaseException) -> str:
    """The first line of an error's message, after its kind if the message does not say it."""
    text = (redacted(str(error)).strip().splitlines() or [""])[0][:500]
    if isinstance(error, MmstError):
        return text
    bare = isinstance(error, (LookupError, TypeError, AttributeError, ValueError)) and not isinstance(error, OSError)
    return f"{type(error).__name__}: {text}" if bare else text or type(error).__name__
