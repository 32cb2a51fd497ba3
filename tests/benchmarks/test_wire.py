"""Cutting a stream into messages."""

import pytest

from benchmarks import wire


def test_a_message_comes_out_when_its_last_byte_has_arrived() -> None:
    messages = wire.Messages()
    sent = wire.answer(b"<a/>")
    assert all(messages.feed(sent[index : index + 1]) is None for index in range(len(sent) - 1))
    head, body = messages.feed(sent[-1:]) or (b"", b"")
    assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"<a/>")


def test_messages_follow_each_other_on_one_connection() -> None:
    messages = wire.Messages()
    assert (messages.feed(wire.answer(b"one")) or (b"", b""))[1] == b"one"
    assert (messages.feed(wire.answer(b"two")) or (b"", b""))[1] == b"two"


def test_a_body_of_unknown_length_is_refused() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        wire.Messages().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
