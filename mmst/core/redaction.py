"""What is secret in a text, and the text without it: the one place that knows how credentials look.

    redacted("cannot reach https://me:pw@mlflow/x?token=abc")   → cannot reach https://***@mlflow/x?token=***

Known are the user information and the query of addresses, assignments to names that say secret
(`DB_PASSWORD=…`), the shapes of well-known tokens, headers, private keys; and, word for word, what this
process was given: values of its environment whose names say secret, and passwords in addresses there.
`redacted` may hide a little too much; `first` is what recipes are refused for, and takes more care.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

HIDDEN = "***"
LEAST = 6
"""A value of the environment that is shorter is not looked for: it may stand anywhere by chance."""


class Found(NamedTuple):
    """A credential in a text: where it stands, and what it is, in words."""

    start: int
    end: int
    what: str


ADDRESS, QUERY, NAMED = "the user or password of an address", "a secret in an address", "a secret by its name"
TOKEN, HEADER, PRIVATE_KEY = "a token", "a header with a secret", "a private key"

_START = re.compile(r"\bhttps?:[\\/]+|\b[A-Za-z][A-Za-z0-9+.-]{1,31}://|(?:(?<=[\s'\"=(,<])|\A)//")
_REST = re.compile(r"[^\s\"<>`]*")
_PARAMETER = re.compile(r"[?&;#]([A-Za-z0-9_.\-%\[\]]{1,64})=([^&;#\s\"'<>]+)")
_ASSIGNED = re.compile(
    r"(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_.\-]{0,63})="
    r"(?=(\"[^\"]*\"|'[^']*'|\$\([A-Za-z_]\w*\)|[^\s,;&'\")\]}]+))"  # looked at: -Dpassword=x stands in a value itself
)
_QUOTED = re.compile(r"([\"'])([A-Za-z_][A-Za-z0-9_.\-]{0,63})\1\s*:\s*([\"'])([^\"'\n]+)\3")
_HEADER = re.compile(
    r"(?i)\b(?:bearer|basic)\s+(?=[^\s\d=]*[\d=])([a-z0-9._~+/=-]{12,})"
    r"|\b(?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?(?:(?:basic|bearer|token|digest)\s+)?([^\s'\",]{4,})"
    r"|\bx-(?:api-key|auth-token)['\"]?\s*[:=]\s*['\"]?([^\s'\",]{4,})"
)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*-----|\Z)")
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    # OpenAI and those like it: a long run, or one of digits and letters; sk-learn and model names are none.
    r"sk-(?=[A-Za-z0-9_-]*?(?:[A-Za-z0-9]{20}|(?=[A-Za-z0-9]{8})(?:[A-Za-z]*\d){3}))[A-Za-z0-9_-]{12,}"
    r"|(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|hf_(?:[A-Za-z0-9]{20,}|(?=[a-z0-9]*[A-Z])(?=[A-Za-z]*\d)[A-Za-z0-9]{10,})"
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|ptt|dt|rt)-[A-Za-z0-9_-]{16,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}"
    r"|[rsp]k_(?:live|test)_[A-Za-z0-9]{10,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|gsk_[A-Za-z0-9]{20,}"
    r"|nvapi-[A-Za-z0-9_-]{20,}|xai-[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{30,}|dapi[0-9a-f]{32}|hv[sb]\.[A-Za-z0-9_-]{20,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|dop_v1_[0-9a-f]{32,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
    r")"
)
_PREFIX = re.compile(r"eyJ|dapi|AIza|A[A-Z0-9]{3}|[A-Za-z0-9]+[-_.](?:live_|test_|pat_|v1_)?")

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ALWAYS = {"password", "passwd", "passphrase", "passcode", "secret", "apikey", "privatekey", "secretkey", "accesskey"}
_PAIRS = {("api", "key"), ("access", "key"), ("private", "key"), ("access", "token"), ("auth", "token")}
_AT_END = {"token", "key", "pat", "pass", "pwd", "pw", "credential", "credentials", "creds", "cookie", "jwt", "bearer"}
_AT_END |= {"sas", "signature", "sig"}
_ENDS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "pwd")
_DESCRIBED = set(
    "file files path dir folder name names url uri ref env id ids length len min max policy ttl expiry expires "
    "expiration timeout type mode field header count size version provider namespace enabled disabled required "
    "manager backend arn rotation format prefix suffix algorithm alg endpoint host port cert certificate limit "
    "interval age location".split()
)
_NO_TOKEN = set(
    "eos bos pad unk sep cls mask stop start end special page next continuation max min per num image audio video "
    "prefix suffix middle eot eod eom fim think first last new cursor".split()
)
_NO_KEY = set(
    "sort partition primary foreign cache group label taint public pub hot shortcut row column map dict index lookup "
    "routing shard hash range item object order join".split()
)
_VERBS = set("allow disable enable use require no skip is has with without need show hide ask implicit".split())
_FLAGS = {"", "true", "false", "yes", "no", "on", "off", "none", "null", "never", "always", "auto", "default"}
_REFERENCE = re.compile(
    r"\$\([A-Za-z_]\w*\)|\$\{[A-Za-z_]\w*\}|\$[A-Za-z_]\w*|\{\{.*\}\}|<[^<>]*>|\*{2,}|…|\.\.\.|REDACTED"
)
_PATH = re.compile(
    r"(?:file://)?(?:~|\.{1,2})?/(?:(?:etc|var|run|mnt|home|opt|secrets|root|tmp|usr|srv|data|vault|app|workspace)/[\w.@/-]+"
    r"|(?:[\w.@-]+/)*[\w.@-]+\.(?:pem|key|crt|cer|json|ya?ml|txt|jwk|p12|pfx|gpg|asc|env|conf|ini|pub|token))"
)

_given: set[str] = set()


def remember(secret: str) -> None:
    """Never show this text again, whatever its name and shape: a key that a recipe names by its variable."""
    if secret:
        _given.add(secret)


def redacted(text: str) -> str:
    """The text with every credential in it hidden.

    >>> redacted("https://me:secret@mlflow.example.com/x failed")
    'https://***@mlflow.example.com/x failed'
    """
    text = _cut(text, _addresses(text))
    text = _cut(text, (f for f in (*_headers(text), *_keys(text))))
    text = _cut(text, (*_tokens(text), *_parameters(text), *_assignments(text)))
    known = _known()
    if known and any(secret in text for secret in known):
        for secret in sorted(known, key=len, reverse=True):
            edges = [
                r"(?<![A-Za-z0-9])" if secret[0].isalnum() else "",
                r"(?![A-Za-z0-9])" if secret[-1].isalnum() else "",
            ]
            text = re.sub(edges[0] + re.escape(secret) + edges[1], HIDDEN, text)
    return text


def redacted_json(text: str) -> str:
    """A JSON text with every credential in its strings hidden, those under names that say secret too."""

    def hidden(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: HIDDEN if isinstance(v, str) and says_secret(k, v) else hidden(v) for k, v in value.items()}
        if isinstance(value, list):
            return [hidden(v) for v in value]
        if not isinstance(value, str):
            return value
        name, equals, said = value.partition("=")  # an item of cluster.env
        loud = equals and name.isidentifier() and says_secret(name, said)
        return f"{name}={HIDDEN}" if loud else redacted(value)

    return json.dumps(hidden(json.loads(text)), ensure_ascii=False)


def first(text: str) -> Found | None:
    """The first credential that is given literally in a value of a recipe; None for a reference such as $(NAME)."""
    found = (*_addresses(text, carefully=True), *_keys(text), *_headers(text), *_tokens(text), *_parameters(text))
    return min((*found, *_assignments(text)), default=None)


def says_secret(name: str, value: str = "literal") -> bool:
    """Whether a variable of this name holds a secret when it has this value.

    >>> says_secret("DB_PASSWORD"), says_secret("TOKENIZERS_PARALLELISM"), says_secret("SSL_KEY_FILE")
    (True, False, False)
    """
    value = value.strip().strip("\"'")
    weight = 0 if name in ("PWD", "OLDPWD") and value[:1] == "/" else _weight(name)  # the shell's: folders
    if not weight or value.lower() in _FLAGS or _REFERENCE.fullmatch(value) or _PATH.fullmatch(value):
        return False
    return weight > 1 or not re.fullmatch(r"\d{1,3}", value)


def without_user(url: str) -> tuple[str, dict[str, str]]:
    """An address without its user information, and the header that says the same: for clients that read none.

    >>> without_user("http://me:p%40ss@host/x")
    ('http://host/x', {'Authorization': 'Basic bWU6cEBzcw=='})
    """
    found = next(iter(_addresses(url)), None)
    if found is None:
        return url, {}
    user = unquote(url[found.start : found.end])
    value = base64.b64encode((user if ":" in user else f"{user}:").encode()).decode()
    return url[: found.start] + url[found.end + 1 :], {"Authorization": f"Basic {value}"}


def _cut(text: str, found: Iterator[Found] | tuple[Found, ...]) -> str:
    """The text with these places hidden; what overlaps is hidden once."""
    parts, at = [], 0
    for start, end, _ in sorted(found):
        if end > at:
            parts += [text[at : max(start, at)], HIDDEN if start >= at else ""]
            at = end
    return "".join([*parts, text[at:]])


def _addresses(text: str, *, carefully: bool = False) -> Iterator[Found]:
    """User information of addresses. `carefully`: not a mere user name of SSH, nor references to variables."""
    if "//" not in text and "\\" not in text and "http" not in text:
        return
    for opened in _START.finditer(text):
        start = opened.end()
        rest = _REST.match(text, start)
        assert rest
        whole = rest[0]
        ends = re.search(r"[/?#\\]", whole)
        authority = whole[: ends.start()] if ends else whole
        at = authority.rfind("@")
        if at < 0 and _no_port(authority):
            at = whole.rfind("@")  # a password with / ? or # in it, which belong encoded
        user = whole[:at]
        relative = opened[0] == "//"
        if at < 1 or whole.startswith("sha256:", at + 1) or (relative and ":" not in user):
            continue
        if carefully:
            name, colon, password = user.partition(":")
            if _REFERENCE.fullmatch(password if colon else name):
                continue
            if not colon and opened[0].lower() in ("ssh://", "git+ssh://", "sftp://"):
                continue
        elif _REFERENCE.fullmatch(user):
            continue
        yield Found(start, start + at, ADDRESS)


def _no_port(authority: str) -> bool:
    """Whether what stands after the colon is part of a password rather than a port."""
    return ":" in authority and authority[0] != "[" and not re.fullmatch(r"[^:]*:\d{1,5}", authority)


def _parameters(text: str, *, deeper: bool = True) -> Iterator[Found]:
    """Values of an address's query. `deeper`: also those that hold another address, or what an ODBC driver is told."""
    for p in _PARAMETER.finditer(text):
        value = unquote(p[2])
        held = deeper and value != p[2] and (_addresses(value, carefully=True), _parameters(f";{value}", deeper=False))
        if says_secret(unquote(p[1]), p[2]) or (held and any(itertools.chain(*held))):
            yield Found(p.start(2), p.end(2), QUERY)


def _assignments(text: str) -> Iterator[Found]:
    """Values of names that say secret, and cannot be a word of a program (`key=len`)."""
    for a in _ASSIGNED.finditer(text) if "=" in text else ():
        if says_secret(a[1], a[2]) and (a[1].isupper() or _weight(a[1]) > 1):
            yield Found(a.start(2), a.end(2), NAMED)
    for q in _QUOTED.finditer(text) if ":" in text else ():
        if says_secret(q[2], q[4]) and (q[2].isupper() or _weight(q[2]) > 1):
            yield Found(q.start(4), q.end(4), NAMED)


def _tokens(text: str) -> Iterator[Found]:
    for t in _TOKEN.finditer(text):
        kept = _PREFIX.match(t[0])
        yield Found(t.start() + (kept.end() if kept else 0), t.end(), TOKEN)


def _headers(text: str) -> Iterator[Found]:
    for h in _HEADER.finditer(text):
        group = next(i for i in (1, 2, 3) if h[i] is not None)
        if not _REFERENCE.fullmatch(h[group]):
            yield Found(h.start(group), h.end(group), HEADER)


def _keys(text: str) -> Iterator[Found]:
    for k in _PEM.finditer(text) if "-----BEGIN" in text else ():
        yield Found(k.start(), k.end(), PRIVATE_KEY)


def _known() -> set[str]:
    """What this process was given and must never show."""
    known = set(_given)
    for name, value in os.environ.items():
        if says_secret(name, value):
            known.add(value)
        elif "@" in value:
            for found in _addresses(value, carefully=True):
                user = value[found.start : found.end]
                password = user.partition(":")[2] or user
                known |= {password, unquote(password)}
                known.add(base64.b64encode(unquote(user).encode("utf-8", "replace")).decode())
    return {value for value in known if len(value) >= LEAST or value in _given}


@functools.lru_cache(maxsize=4096)
def _weight(name: str) -> int:
    """0: no secret by its name; 1: where its value is no small number; 2: always."""
    words = [w.lower() for w in _PARTS.findall(name)]
    while words and (words[-1].isdigit() or words[-1] in ("value", "base", "prod", "dev", "staging", "test")):
        words.pop()
    if not words or words[-1] in _DESCRIBED:
        return 0
    before, last = (words[-2] if len(words) > 1 else ""), words[-1]
    if _VERBS & set(words[:-1]):
        return 1
    if _ALWAYS & set(words) or _PAIRS & set(itertools.pairwise(words)):
        return 2
    if (last == "token" and before in _NO_TOKEN) or (last == "key" and before in _NO_KEY):
        return 0
    if last in _AT_END:
        return 1
    return 2 if any(last.endswith(end) and last != end for end in _ENDS) else 0
