"""The dates of other catalogues, read and written.

A catalogue of the incumbent's make keeps days, and sends them as midnights without a zone. To us a day is Swedish and
whole, first and last included; a time with an offset is that instant.
"""

import re
from datetime import UTC, date, datetime, time, timedelta

from rivta.catalogue.rows import SWEDISH_TIME, Bound

ALWAYS = date(1900, 1, 1)
"""Written where a row has no first day, since others must have one; and read as none."""
FOREVER = date(2999, 12, 31)
"""The same for a last day."""

INDETERMINATE = timedelta(hours=14)
"""How far the incumbent's routers read a time without zone in both directions: XML Schema's partial order of times."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
_YEARS = range(1900, 10_000)
_END_OF_DAY = time(23, 59)


def read_bound(text: str, *, is_end: bool, tak_dates: bool = False, keeps_days: bool = False) -> Bound | None:
    """The end of a validity that `text` says; None where it means that there is none.

    `tak_dates` reads a time without zone as the incumbent's routers do, 14 hours wider in both directions.
    `keeps_days` is for a source that keeps days and merely writes them as the midnights of its own zone. Raises
    ValueError, with what was expected, for anything else than a time of ISO 8601.
    """
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is not a time as 2024-01-31T00:00:00, with or without its offset")
    moment = datetime.fromisoformat(_at_most_microseconds(text))
    if moment.year not in _YEARS:
        raise ValueError(f"{text!r} is not between the years {_YEARS.start} and {_YEARS.stop - 1}")
    if moment.date() == (FOREVER if is_end else ALWAYS) and (moment.time() == time() or is_end):
        return None
    if moment.tzinfo is None and tak_dates:
        wider = INDETERMINATE if is_end else -INDETERMINATE
        return moment.replace(tzinfo=UTC) + wider
    if moment.tzinfo is None or (keeps_days and moment.time() == time()):
        return _day(moment, is_end=is_end) or _swedish(moment)
    return _whole_day(moment, is_end=is_end) or moment


def write_bound(bound: Bound | None, *, is_end: bool, is_zoned: bool = False) -> str:
    """As the incumbent's services write it: a whole day as its midnight without zone, or with `is_zoned` as the first
    and last millisecond of it; an instant with its offset always. Parts of a millisecond are lost.
    """
    day = (FOREVER if is_end else ALWAYS) if bound is None else bound
    if isinstance(day, datetime):
        return day.isoformat(timespec="milliseconds")
    if not is_zoned:
        return f"{day.isoformat()}T00:00:00.000"
    at = time(23, 59, 59, 999_000) if is_end else time()
    return datetime.combine(day, at, SWEDISH_TIME).isoformat(timespec="milliseconds")


def write_json_bound(bound: Bound | None, *, is_end: bool) -> str:
    """As the incumbent's JSON has it: seconds, and an offset without colon. Parts of a second are lost.

    An instant at midnight would be read as a day: it is written in Swedish time, or as the day if it is one's end.
    """
    day = (FOREVER if is_end else ALWAYS) if bound is None else bound
    if isinstance(day, datetime) and day.timetz().replace(tzinfo=None, microsecond=0) == time():
        local = day.astimezone(SWEDISH_TIME).replace(microsecond=0)
        day = local if local.time() != time() else local.date() - timedelta(days=is_end)
    if not isinstance(day, datetime):
        day = datetime.combine(day, time(), SWEDISH_TIME)
    return day.strftime("%Y-%m-%dT%H:%M:%S%z").rjust(24, "0")


def first_day(bound: Bound | None) -> date:
    """The Swedish day that a validity starts on."""
    if bound is None:
        return date.min
    return bound.astimezone(SWEDISH_TIME).date() if isinstance(bound, datetime) else bound


def last_day(bound: Bound | None) -> date:
    """The Swedish day that the last instant of a validity is on."""
    if bound is None:
        return date.max
    if isinstance(bound, datetime):
        return (bound.astimezone(SWEDISH_TIME) - timedelta(microseconds=1)).date()
    return bound


def _at_most_microseconds(text: str) -> str:
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def _day(moment: datetime, *, is_end: bool) -> date | None:
    """The whole day that a wall time stands for: its midnight, or at the end its last minute."""
    at = moment.timetz().replace(tzinfo=None)
    return moment.date() if at == time() or (is_end and at >= _END_OF_DAY) else None


def _whole_day(moment: datetime, *, is_end: bool) -> date | None:
    """The day whose very first or last instant this is, said in Swedish time."""
    local = moment.astimezone(SWEDISH_TIME)
    if local.utcoffset() != moment.utcoffset() or (is_end and local.time() == time()):
        return None
    return _day(local, is_end=is_end)


def _swedish(moment: datetime) -> datetime:
    """A wall time as an instant with the offset that Swedish time has then."""
    local = moment.replace(tzinfo=SWEDISH_TIME)
    return datetime.fromisoformat(local.isoformat())
