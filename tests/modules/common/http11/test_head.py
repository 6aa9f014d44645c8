from __future__ import annotations

import pytest

from modules.common.http11.head import ChunkedBody, HttpError, parse_head


def head(*lines: str, start: str = "POST /score?x=1 HTTP/1.1", host: bool = True) -> bytes:
    return "\r\n".join([start, *(["Host: h"] if host else []), *lines]).encode("latin-1")


def test_a_head_is_taken_apart() -> None:
    parsed = parse_head(head("Content-Length: 7", "X-Two: a", "x-two:b "))
    assert (parsed.method, parsed.path, parsed.query, parsed.length) == ("POST", "/score", "x=1", 7)
    assert parsed.headers["x-two"] == "a, b"
    assert parsed.keep_alive


@pytest.mark.parametrize(
    ("lines", "start", "keep"),
    [
        ((), "GET / HTTP/1.1", True),
        (("Connection: close",), "GET / HTTP/1.1", False),
        ((), "GET / HTTP/1.0", False),
        (("Connection: Keep-Alive",), "GET / HTTP/1.0", True),
    ],
)
def test_whether_the_connection_stays(lines: tuple[str, ...], start: str, keep: bool) -> None:
    assert parse_head(head(*lines, start=start)).keep_alive is keep


def test_an_absolute_target_gives_its_path() -> None:
    assert parse_head(head(start="GET http://h:1/a/b?c HTTP/1.1")).path == "/a/b"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Content-Length: 1", "Content-Length: 1"), 400),
        (("Content-Length: +1",), 400),
        (("Content-Length: 1_0",), 400),
        (("Content-Length: ²",), 400),
        (("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (("Transfer-Encoding: gzip, chunked",), 501),
        (("Transfer-Encoding : chunked",), 400),
        (("A: b\x00c",), 400),
        (("A: b\nC: d",), 400),
        ((" folded: line",), 400),
        (("no colon",), 400),
        (("Host: other",), 400),
        (("Authorization: a", "Authorization: b"), 400),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(lines: tuple[str, ...], status: int) -> None:
    with pytest.raises(HttpError) as error:
        parse_head(head(*lines))
    assert error.value.status == status


@pytest.mark.parametrize(
    ("start", "status"),
    [
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/2.0", 505),
        ("G@T / HTTP/1.1", 400),
        ("GET x HTTP/1.1", 400),
    ],
)
def test_a_bad_request_line_is_refused(start: str, status: int) -> None:
    with pytest.raises(HttpError) as error:
        parse_head(head(start=start))
    assert error.value.status == status


def test_http_1_1_needs_a_host() -> None:
    with pytest.raises(HttpError, match="Host"):
        parse_head(head(host=False))


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_chunks_are_joined_however_they_arrive(piece: int) -> None:
    data = b"4;ext=1\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\nGET"
    body, rest = ChunkedBody(100), None
    for start in range(0, len(data), piece):
        left = body.feed(data[start : start + piece])
        if left is not None:
            rest = left + data[start + piece :]
            break
    assert (bytes(body.body), rest) == (b"Wikipedia", b"GET")


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"x\r\n", 400), (b"-1\r\n", 400), (b"0x4\r\n", 400), (b"1\r\nabc", 400), (b"65\r\n", 413), (b"f" * 2000, 400)],
)
def test_bad_or_too_many_chunks_are_refused(data: bytes, status: int) -> None:
    with pytest.raises(HttpError) as error:
        ChunkedBody(100).feed(data)
    assert error.value.status == status
