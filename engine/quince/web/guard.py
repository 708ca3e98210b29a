"""Before every page: nobody without the token, no write from elsewhere. After it: headers."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import FormData, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quince.web.access import Access
from quince.web.templating import render

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LARGEST_FORM = 1_000_000
"""Bytes of what is sent to us."""
MOST_FIELDS = 5000

READS = frozenset({"GET", "HEAD"})


class Guard:
    """Lets through whom `Access` lets, and puts the headers of security on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(HTTPConnection(scope))
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, asked: HTTPConnection) -> Response | None:
        """What is answered in place of the page; None: nothing is wrong."""
        access, headers = self._access, asked.headers
        host = headers.get("host", "")
        if not access.is_named(host):
            return PlainTextResponse(
                f"this server is not called {host[:100]!r}: start it with --allow-host NAME\n", 421
            )
        if _is_public(asked):
            return None
        reads = asked.scope["method"] in READS
        if reads and (token := asked.query_params.get("token")) is not None:
            return self._admitted(asked) if access.knows(token) else self._locked(asked, wrong=True)
        if not (
            access.may_look(asked.cookies, headers.get("authorization", ""))
            if reads
            else access.has_session(asked.cookies)
        ):
            return self._locked(asked)
        if not reads and not access.is_same_origin(
            host, headers.get("origin"), headers.get("sec-fetch-site")
        ):
            return PlainTextResponse("refused: this did not come from a page of this server\n", 403)
        return None

    def _admitted(self, asked: HTTPConnection) -> Response:
        """The same page, with a cookie in the place of the token."""
        rest = [(name, value) for name, value in asked.query_params.multi_items() if name != "token"]
        query = f"?{urlencode(rest)}" if rest else ""
        answer = RedirectResponse(f"{_safe(asked.url.path)}{query}", 303)
        answer.set_cookie(
            self._access.cookie,
            self._access.session,
            path=self._access.base_path or "/",
            httponly=True,
            samesite="strict",
            secure=asked.url.scheme == "https",
        )
        return answer

    def _locked(self, asked: HTTPConnection, *, wrong: bool = False) -> Response:
        """The page that asks for the token.

        Who follows a link in a letter or a chat is not sent the cookie along (`SameSite=Strict`): that page
        asks once more by itself, and that request is from here.
        """
        again = asked.scope["method"] == "GET" and asked.headers.get("sec-fetch-site") == "cross-site"
        page = render("locked.html", access=self._access, wrong=wrong, again=again)
        return Response(page, 401, media_type="text/html", headers={"WWW-Authenticate": "Bearer"})


def _is_public(asked: HTTPConnection) -> bool:
    """Style and script, which say nothing of anybody."""
    root = asked.scope.get("root_path", "")
    return asked.scope["method"] in READS and asked.url.path.removeprefix(root).startswith("/static/")


def _safe(path: str) -> str:
    """A path on this server: `//elsewhere/` would be another one."""
    return "/" + path.lstrip("/\\")


async def form_of(request: Request) -> FormData:
    """The fields of a form.

    Raises:
        ValueError: it is none, or far too large.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_FORM:
            raise ValueError("it is too large")
    text = body.decode("utf-8", "strict")
    return FormData([*parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)])
