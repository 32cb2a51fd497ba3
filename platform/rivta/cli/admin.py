"""The admin APIs of a running pair, for the commands that use them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import click

from rivta.run.home import Home, HomeError

if TYPE_CHECKING:
    import requests

_SECONDS = 30.0


class AdminClient:
    """An admin API of a pair. Every error is a ClickException of one line."""

    def __init__(self, url: str, token: str, *, owner: str, seconds: float = _SECONDS) -> None:
        """`owner`: who does not answer when it does not, as `the keeper of national`."""
        self._url = url
        self._token = token
        self._owner = owner
        self._seconds = seconds

    @classmethod
    def of_platform(cls, home: Home, platform: str, *, seconds: float = _SECONDS) -> Self:
        """The API of a platform's keeper. Raises ClickException when no pair runs in `home` or has no such platform."""
        try:
            platforms = home.endpoints()["platforms"]
            url = platforms[platform]["admin"]
            return cls(url, home.admin_token(), owner=f"the keeper of {platform}", seconds=seconds)
        except HomeError as error:
            raise click.ClickException(str(error)) from error
        except KeyError:
            raise click.ClickException(
                f"{home.folder} has no platform {platform!r}, but {', '.join(platforms)}"
            ) from None

    @classmethod
    def of_stubs(cls, home: Home) -> Self:
        """The API of the stub producers. Raises ClickException when none run in `home`."""
        try:
            url, token = home.endpoints()["stubs"], home.admin_token()
        except HomeError as error:
            raise click.ClickException(str(error)) from error
        if url is None:
            raise click.ClickException(f"no stub producers run in {home.folder}: they belong to `rivta up`")
        return cls(url, token, owner="the stub producers")

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON at `path`, as `/status`. Parameters that are None are left out."""
        return self.request("GET", path, params=params)

    def request(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """The JSON answer to any request; None when it is empty."""
        import requests

        with requests.Session() as session:
            session.trust_env = False  # a proxy in the environment is not for the loopback
            try:
                answer = session.request(
                    method,
                    f"{self._url}{path}",
                    params={name: value for name, value in (params or {}).items() if value is not None},
                    json=body,
                    headers={"Authorization": f"Bearer {self._token}"},
                    timeout=self._seconds,
                )
            except requests.RequestException as error:
                raise click.ClickException(
                    f"no answer from {self._owner} at {self._url} ({type(error).__name__}): see `rivta status`"
                ) from error
            return self._content(answer)

    def _content(self, answer: "requests.Response") -> Any:
        if not answer.ok:
            raise click.ClickException(_problem(answer))
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise click.ClickException(f"{answer.url} answered with something else than JSON") from error


def _problem(answer: "requests.Response") -> str:
    """The refusal in one line: RFC 9457 gives `title` and `detail`."""
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    title, detail = str(problem.get("title", "")), str(problem.get("detail", ""))
    text = ": ".join(part for part in (title, detail) if part) or f"{answer.url}: {answer.reason}"
    return f"{' '.join(text.split())} (HTTP {answer.status_code})"
