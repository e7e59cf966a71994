"""Just enough of HTTP/2 (RFC 9113) to misbehave: frames by hand, headers as HPACK literals."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
CANCEL = 0x8


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def _text(text):
    """A string literal without Huffman coding."""
    data = text.encode()
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, out = len(data) - 127, [127]
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes(out + [rest]) + data


def headers(stream, method, path, flags=END_STREAM | END_HEADERS):
    fields = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)]
    # 0x10: a literal that is never indexed, with a literal name.
    block = b"".join(b"\x10" + _text(name) + _text(value) for name, value in fields)
    return frame(HEADERS, flags, stream, block)


def connect(port, timeout=10):
    s = socket.create_connection(("127.0.0.1", port), timeout)
    s.sendall(PREFACE + frame(SETTINGS, 0, 0))
    return s


def frames(s):
    """Yields (type, flags, stream, payload) until the peer closes."""
    buffer = b""
    while True:
        while len(buffer) >= 9:
            length = struct.unpack(">I", b"\0" + buffer[:3])[0]
            if len(buffer) < 9 + length:
                break
            stream = struct.unpack(">I", buffer[5:9])[0] & 0x7fffffff
            yield buffer[3], buffer[4], stream, buffer[9:9 + length]
            buffer = buffer[9 + length:]
        piece = s.recv(65536)
        if not piece:
            return
        buffer += piece
