"""Who calls: from the connection's certificate, as TLS has proved it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rivta.router.messages import Request
from rivta.soap.faults import Fault, Refused
from rivta.tls.sender import Sender


def identify(request: Request, *, is_revoked: Callable[[Sender], bool], now: datetime) -> Sender:
    """The sender of a request.

    Revocation and expiry are looked at in each call, so that a resumed or long-lived connection ends with its
    certificate. Raises Refused (VP002).
    """
    sender = request.peer.sender
    if sender is None:
        raise Refused(Fault.NO_SENDER, detail=request.peer.problem)
    if is_revoked(sender):
        raise Refused(Fault.NO_SENDER, detail=f"The client certificate of {sender.hsa_id} is revoked")
    if sender.is_expired(now):
        raise Refused(Fault.NO_SENDER, detail=f"The client certificate of {sender.hsa_id} has expired")
    return sender
