"""The one place that knows where the data that comes with the program is."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The read-only folder `name` (`contracts`, `routing`, `certs`): inside an installed package, else in the checkout.

    Raises FileNotFoundError, saying where it looked, when neither has it.
    """
    installed = _PACKAGE / "_shipped" / name
    checkout = _PACKAGE.parents[1] / name
    for candidate in (installed, checkout):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"shipped data {name!r} is neither in {installed} nor in {checkout}: reinstall rivta")
