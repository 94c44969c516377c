"""An HTTP component as its author would write it for any host: wasi:http 0.2 with asyncio, nothing of Rimward."""

import asyncio
import sys
from urllib.parse import parse_qs, urlsplit

import poll_loop
from componentize_py_types import Ok
from poll_loop import PollLoop, Sink, Stream
from wit_world import exports
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingRequest,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Http,
    Scheme_Https,
)

answered = 0


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        loop = PollLoop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(answer(request, response_out))


async def answer(request: IncomingRequest, out: ResponseOutparam) -> None:
    global answered
    answered += 1
    url = urlsplit(request.path_with_query() or "/")
    if url.path == "/echo":
        await echo(request, out)
    elif url.path == "/fetch":
        await say(out, await fetch(parse_qs(url.query)["url"][0]))
    elif url.path == "/answered":
        await say(out, str(answered))
    elif url.path == "/raise":
        raise RuntimeError("on purpose")
    elif url.path == "/log":
        print("a line of Python")
        print("and one to stderr", file=sys.stderr)
        await say(out, "logged")
    else:
        await say(out, f"{url.path} by Python")


def begin(out: ResponseOutparam) -> Sink:
    response = OutgoingResponse(Fields.from_list([("content-type", b"text/plain")]))
    body = response.body()
    ResponseOutparam.set(out, Ok(response))
    return Sink(body)


async def say(out: ResponseOutparam, text: str) -> None:
    sink = begin(out)
    await sink.send(text.encode())
    sink.close()


async def echo(request: IncomingRequest, out: ResponseOutparam) -> None:
    stream, sink = Stream(request.consume()), begin(out)
    while (chunk := await stream.next()) is not None:
        await sink.send(chunk)
    sink.close()


async def fetch(url: str) -> str:
    parts = urlsplit(url)
    request = OutgoingRequest(Fields.from_list([]))
    request.set_scheme(Scheme_Https() if parts.scheme == "https" else Scheme_Http())
    request.set_authority(parts.netloc)
    request.set_path_with_query(parts.path or "/")
    sending = asyncio.ensure_future(poll_loop.send(request))
    OutgoingBody.finish(request.body(), None)
    response = await sending
    stream, body = Stream(response.consume()), b""
    while (chunk := await stream.next()) is not None:
        body += chunk
    return f"{response.status()} {body.decode()}"
