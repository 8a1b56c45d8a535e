"""The web application: addresses, and who may ask. Every page is made on the server; it has no script at all."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mmst.core.errors import MmstError, UserError
from mmst.core.ports import Store
from mmst.core.redaction import redacted
from mmst.core.visible import json_text, replaced
from mmst.experiments.written import PAGE
from mmst.observe import terminal
from mmst.report.page import STYLE
from mmst.view.diff import differing
from mmst.view.later import NotYet
from mmst.view.pages import Pages
from mmst.view.samples import COLUMNS, Filter

POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" stroke-width="2.4" stroke-linecap="round">'
    '<path d="M13 6A5.5 5.5 0 0 0 3 6" stroke="#2b66a8"/><path d="M3 10a5.5 5.5 0 0 0 10 0" stroke="#b8500f"/></svg>'
)
COOKIE = "mmst-view"
_FIELDS = [f.name for f in fields(Filter)]


def application(
    store: Store,
    logs: Callable[[str], Path],
    *,
    ticket: str = "",
    hosts: tuple[str, ...] = (),
    cache: Path | None = None,
) -> Starlette:
    """The application over a store.

    `logs` gives the folder of a run's logs. With a `ticket`, only who sends it sees anything: once as `?ticket=…`, then
    as a cookie. `hosts` are the names by which it may be addressed (a page of somebody else's whose name was made to
    lead here is none); empty: any.
    """
    pages, show = Pages(store, logs, cache), _templates()

    def page(template: str, content: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            return HTMLResponse(show(template, request, content(request)))

        return answer

    def samples(request: Request) -> dict[str, Any]:
        return pages.samples(request.path_params["run"], _filter(request), _number(request, "page", 1))

    def download(request: Request) -> Response:
        run = request.path_params["run"]
        lines: Iterator[bytes] = pages.lines(run, _filter(request))
        name = {"content-disposition": f'attachment; filename="{_plain(run)}-samples.jsonl"'}
        if request.method == "HEAD":
            return Response(media_type="application/x-ndjson", headers=name)
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=name)

    def experiment(request: Request) -> Response:
        name, file = request.path_params["experiment"], request.path_params["file"]
        content = pages.experiment(name, file)
        if file == PAGE:
            return HTMLResponse(content)
        headers = {"content-disposition": f'attachment; filename="{_plain(f"{name}-{file}")}"'}
        return Response(content, media_type="application/octet-stream", headers=headers)

    def compare(request: Request) -> dict[str, Any]:
        return pages.compare(request.query_params.get("first", ""), request.query_params.get("second", ""))

    def style(request: Request) -> Response:
        sheets = (STYLE, Path(__file__).with_name("view.css"))
        return Response("".join(s.read_text(encoding="utf-8") for s in sheets), media_type="text/css")

    def under_way(request: Request, error: Exception) -> Response:
        return HTMLResponse(show("reading.html", request, {}), 503, {"retry-after": "1"})

    def failed(request: Request, error: Exception) -> Response:
        status, said = 500, "an unexpected error; the terminal in which `mmst view` runs says more"
        if not isinstance(error, MmstError | HTTPException):
            terminal.warn(f"{request.url.path}: unexpected {type(error).__name__}: {error}")
        if isinstance(error, HTTPException):
            status, said = error.status_code, error.detail
        elif isinstance(error, MmstError):
            status, said = (404 if isinstance(error, UserError) else 502), redacted(str(error))
        return HTMLResponse(show("error.html", request, {"status": status, "said": said}), status)

    app = Starlette(
        routes=[
            Route("/", page("runs.html", lambda _: pages.runs())),
            Route("/compare", page("compare.html", compare)),
            Route(
                "/runs/{run}",
                page("run.html", lambda r: pages.run(r.path_params["run"], r.query_params.get("stages") == "all")),
            ),
            Route("/runs/{run}/recipe", page("recipe.html", lambda r: pages.recipe(r.path_params["run"]))),
            Route("/runs/{run}/labels", page("labels.html", lambda r: pages.labels(r.path_params["run"]))),
            Route("/runs/{run}/samples", page("samples.html", samples)),
            Route("/runs/{run}/samples.jsonl", download),
            Route(
                "/runs/{run}/problems/{problem:path}",
                page("problem.html", lambda r: pages.problem(r.path_params["run"], r.path_params["problem"])),
            ),
            Route("/experiments/{experiment}/{file}", experiment),
            Route("/style.css", style),
            Route("/icon.svg", lambda _: Response(ICON, media_type="image/svg+xml")),
        ],
        exception_handlers={NotYet: under_way, MmstError: failed, HTTPException: failed, Exception: failed},
    )
    app.add_middleware(Guard, ticket=ticket, hosts=hosts)
    app.state.close = pages.close
    return app


class Guard:
    """Answers only to those who may ask, by GET and HEAD; every answer has the headers that keep it what it is."""

    def __init__(self, app: ASGIApp, ticket: str, hosts: tuple[str, ...]) -> None:
        self._app, self._ticket, self._hosts = app, ticket, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        answer = self._refusal(Request(scope)) or self._app
        return await answer(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("this only shows\n", 405)
        if self._hosts and _host(request.headers) not in self._hosts:
            return PlainTextResponse("not the address that `mmst view` printed\n", 421)
        if not self._ticket:
            return None
        if (given := request.query_params.get("ticket")) is not None and self._is(given):
            others = [(name, value) for name, value in request.query_params.multi_items() if name != "ticket"]
            path = "/" + request.url.path.lstrip("/\\")  # a path that begins with two leads to another host
            answer = RedirectResponse(f"{path}?{urlencode(others)}" if others else path)
            # Lax, not strict: else a link in a chat leads to a page that refuses itself.
            answer.set_cookie(self._cookie(request), self._ticket, httponly=True, samesite="lax")
            return answer
        if self._is(request.cookies.get(self._cookie(request), "")):
            return None
        return PlainTextResponse("open the address with ?ticket=… that `mmst view` printed\n", 403)

    def _cookie(self, request: Request) -> str:
        """Its name. Browsers send a host's cookies to all of its ports."""
        return f"{COOKIE}-{request.url.port or 80}"

    def _is(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._ticket.encode())


def _host(headers: Headers) -> str:
    """The host's name in lower case, without the port."""
    host = headers.get("host", "").lower()
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]


def _filter(request: Request) -> Filter:
    asked = request.query_params
    return Filter(**{name: _chosen(name, asked[name]) for name in _FIELDS if name in asked})


def _chosen(name: str, value: str) -> str:
    """What a choice of the form stands for (`in_form`)."""
    try:
        return str(json.loads(f'"{value}"')) if name in COLUMNS else value
    except ValueError:
        return value


def in_form(value: str) -> str:
    """A value as a form sends it unchanged: what browsers change, and what cannot be seen, is escaped as in JSON."""
    return json_text(value)[1:-1]


def _number(request: Request, name: str, least: int) -> int:
    given = request.query_params.get(name, "")
    return max(int(given), least) if given.isascii() and given.isdigit() and len(given) < 10 else least


def _plain(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)


def _templates() -> Callable[[str, Request, dict[str, Any]], str]:
    """What makes a page of a template. Whatever is put in is text, and text that cannot be seen is made visible."""
    environment = Environment(
        loader=PackageLoader("mmst.view"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: replaced(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    environment.filters["address"] = lambda query: urlencode(query)
    environment.filters["words"] = lambda name: str(name).replace("_", " ")
    environment.filters["in_form"] = in_form
    environment.filters["path"] = lambda text: quote(str(text), safe="")
    environment.globals["differing"] = differing

    def show(template: str, request: Request, content: dict[str, Any]) -> str:
        return environment.get_template(template).render(path=request.url.path, **content)

    return show
