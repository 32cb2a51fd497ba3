"""What a connection may cost before, while and after its requests are carried."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one listener in one worker. Times in seconds, sizes in bytes."""

    max_body_bytes: int = 50 * 1024 * 1024
    header_seconds: float = 10.0
    """For the TLS handshake; from the first byte of a request, or from connecting, to the end of its head; and for each
    portion of a body that comes at the lowest rate."""
    min_bytes_per_second: int = 1024
    """A body may not come, nor an answer be read, more slowly."""
    keep_alive_seconds: float = 75.0
    unread_seconds: float = 30.0
    """An answer of which nothing is read for so long ends its connection."""
    max_target_bytes: int = 8192
    max_header_bytes: int = 65_536
    """All lines of a head together."""
    max_headers: int = 128
    connections: int = 10_000
    connections_per_sender: int = 1_000
    held_bytes: int = 1024**3
    """Of long messages, taken in and not yet answered, or answered and not yet read."""
    handshakes_per_address: int = 256
    """Connections of one address that have not finished their TLS handshake."""

    @property
    def portion_bytes(self) -> int:
        """What has to come within `header_seconds` of a body that has not ended."""
        return int(self.header_seconds * self.min_bytes_per_second)

    def within(self, open_files: int) -> Limits:
        """These, where a process may open so many files: a quarter is left for what is no consumer's connection, and
        one sender gets no more than a quarter of the rest, so that it cannot use them up for all."""
        connections = min(self.connections, open_files * 3 // 4)
        if connections == self.connections:
            return self
        per_sender = min(self.connections_per_sender, connections // 4)
        return replace(self, connections=connections, connections_per_sender=per_sender)

    @property
    def max_head_bytes(self) -> int:
        """A whole request head."""
        return self.max_target_bytes + self.max_header_bytes
