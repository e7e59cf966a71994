"""HTTP/1.1 over raw sockets, and the bytes that stand for values."""
import asyncio
import json
import time
import zlib

HTTP_PORT = 7000
CONNECT_SECONDS = 1.0
LARGE = 6000  # bytes: more than rides in every replica's reply


def body_of(tag):
    """The bytes written for the value `tag`; one in sixteen is large."""
    text = tag.encode()
    return text if int(tag) % 16 else text.ljust(LARGE, b".")


def value_of(body):
    """The inverse; anything else than what some client wrote is named by its hash."""
    tag = body.rstrip(b".")
    if tag.isdigit() and body_of(tag.decode()) == body:
        return tag.decode()
    return f"corrupt-{len(body)}-{zlib.crc32(body):08x}"


def now_us():
    return time.monotonic_ns() // 1000


class Refused(Exception):
    """Nothing left this client."""


class Answer:
    """`time`: when it came, in µs."""

    def __init__(self, status, head, body):
        self.status, self.head, self.body, self.time = status, head, body, now_us()

    def header(self, name):
        """The field's value as text, None if it is not there."""
        at = self.head.lower().find(b"\r\n" + name + b": ")
        if at < 0:
            return None
        return self.head[at + len(name) + 4:].split(b"\r\n", 1)[0].decode(errors="replace")

    def etag(self):
        tag = self.header(b"etag")
        return tag.strip('"') if tag else None

    def problem(self):
        """The problem document, {} if it is none."""
        return json.loads(self.body) if b"/problems/" in self.body[:32] else {}

    def slug(self):
        return self.problem().get("type", "").rpartition("/")[2]


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with one request at a time."""

    def __init__(self):
        self.transport, self.waiter, self.buffer, self.open = None, None, b"", True

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        self.open = False
        self._finish(None)

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15:].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        answer = (int(self.buffer[9:12]), self.buffer[:end], self.buffer[end + 4:end + 4 + length])
        self.buffer = self.buffer[end + 4 + length:]
        if b"connection: close" in head:
            self.close()
        self._finish(answer)

    def _finish(self, answer):
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(answer)

    def close(self):
        self.open = False
        if self.transport:
            self.transport.abort()

    async def ask(self, request, seconds):
        """Returns the Answer; None if there was none, although the request may have arrived."""
        loop = asyncio.get_running_loop()
        self.waiter = loop.create_future()
        timer = loop.call_later(seconds, self._finish, None)
        self.transport.write(request)
        answer = await self.waiter
        timer.cancel()
        if answer is None:
            self.close()
            return None
        return Answer(*answer)


class Connections:
    """One to each proxy, made when it is needed."""

    def __init__(self, addresses):
        self.addresses, self.to = addresses, {}

    async def ask(self, proxy, method, path, fields=(), body=b"", seconds=2.0):
        """As Connection.ask; Refused if the proxy cannot be reached."""
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        request = (f"{method} {path} HTTP/1.1\r\nHost: q\r\n{head}"
                   f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        connection = self.to.get(proxy)
        if not connection or not connection.open:
            connection = self.to[proxy] = await self._connect(proxy)
        return await connection.ask(request, seconds)

    async def _connect(self, proxy):
        try:
            _, connection = await asyncio.wait_for(
                asyncio.get_running_loop().create_connection(
                    Connection, self.addresses[proxy], HTTP_PORT), CONNECT_SECONDS)
        except (OSError, asyncio.TimeoutError):
            self.to.pop(proxy, None)
            raise Refused from None
        return connection

    def close(self):
        for connection in self.to.values():
            connection.close()
