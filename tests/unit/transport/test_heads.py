"""Headers that all answers have are made once a second."""

from __future__ import annotations

from caterva2.transport.heads import FixedHeaders


def test_fixed_headers_are_made_once_a_second() -> None:
    now = [1.0]
    make = FixedHeaders({"Server": "Caterva2"}, clock=lambda: now[0])
    first = make()
    now[0] = 1.9
    same = make()
    now[0] = 2.0
    other = make()

    assert same is first
    assert first.lines == b"Date: Thu, 01 Jan 1970 00:00:01 GMT\r\nServer: Caterva2\r\n"
    assert other.headers["Date"] == "Thu, 01 Jan 1970 00:00:02 GMT"
