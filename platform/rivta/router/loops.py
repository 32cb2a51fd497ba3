"""Loops between platforms (VP014), told from round trips by the routing history.

The history is the incumbent's header: the first sender and then each platform on the way, with `#` between. A platform
that stands in it has seen this call before, or one that came of it: a service that is called through two platforms may
itself call back through both of them, for another address, and pass the history on. Which address a platform was
visited for, the history does not say. But a table sends the same call the same way each time, so:

* A call about to be sent on to a platform which, by the history, it went to from here before is in a loop.
* A call that ends here, or goes to a producer or to another platform, is on a round trip.
* A third visit is a loop, wherever the call is going: that ends those which the first rule does not see, over a
  platform that the table does not mark as one and that does not enter its own name.

Platforms only ever add to what a consumer wrote, and no name in front takes a visit or a way out of what follows: a
consumer can bring the end of its own call nearer, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from rivta.router.identify import Way
from rivta.router.policy import Policy


class LoopRule(Enum):
    """How loops are looked for in a call's history."""

    ROUND_TRIPS = "round trips"
    """As described above."""
    FIRST_RETURN = "first return"
    """The incumbent's: a second visit is a loop."""
    RELAYED = "relayed"
    """Not at all: the history goes on as it came."""


def loop_rule(way: Way, policy: Policy) -> LoopRule:
    """The rule for a call whose sender was identified that way.

    The incumbent looks for loops on its http listener only, where the sender is in a certificate header: that is also
    how it sees those who come by a proxy.
    """
    if not policy.routing_history or way is Way.HTTP_INTERNAL:
        return LoopRule.RELAYED
    if way is Way.HTTP_CERTIFICATE:
        return LoopRule.FIRST_RETURN
    if policy.compat.loops_on_http_only:
        return LoopRule.FIRST_RETURN if way is Way.PROXY else LoopRule.RELAYED
    return LoopRule.ROUND_TRIPS


MOST_VISITS = 2
"""Visits to this platform that a history may hold: there and back."""


@dataclass(frozen=True, slots=True)
class History:
    """The routing history of a call that has come in."""

    text: str
    """As it came; empty when none did."""
    sender: str
    platform: str
    """This one."""
    visits: int
    """How often this platform stands in it."""
    is_relayed: bool = False
    """Whether it goes on as it came, with nobody looking for loops."""

    @classmethod
    def read(cls, text: str, *, sender: str, platform: str) -> History:
        """The history in the header's value."""
        visits = sum(name.strip() == platform for name in text.split("#")) if platform in text else 0
        return cls(text, sender, platform, visits)

    @classmethod
    def unread(cls, text: str, *, sender: str, platform: str) -> History:
        """A history that is relayed."""
        return cls(text, sender, platform, visits=0, is_relayed=True)

    @property
    def extended(self) -> str:
        """The history as the next one gets it; empty only when it is relayed and none came."""
        if self.is_relayed:
            return self.text
        return f"{self.text or self.sender}#{self.platform}"

    def leads_again_to(self, onward: str) -> bool:
        """Whether this call, or one that it came of, went from this platform to the platform `onward` before.

        The sender counts as the last that was visited, by its certificate: not every platform enters its name.
        """
        if not self.visits:
            return False
        names = [name.strip().upper() for name in self.text.split("#")]
        if names[-1] != self.sender.upper():
            names.append(self.sender.upper())
        return (self.platform.upper(), onward.upper()) in pairwise([*names, self.platform.upper()])
