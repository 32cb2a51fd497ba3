"""The admin APIs of a running pair, for the commands that use them."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import click

from rivta.run.home import Home, HomeError

if TYPE_CHECKING:
    import requests

_SECONDS = 30.0


TOKEN_VARIABLE = "RIVTA_TOKEN"
"""Environment variable with the token to show; without it, that in the token file of the pair."""


class Refused(click.ClickException):
    """The API refused a request: `problem` is all that it said, `status` its HTTP status."""

    def __init__(self, message: str, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


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
            token = os.environ.get(TOKEN_VARIABLE) or home.admin_token()
            return cls(url, token, owner=f"the keeper of {platform}", seconds=seconds)
        except HomeError as error:
            raise click.ClickException(str(error)) from error
        except KeyError:
            raise click.ClickException(
                f"{home.folder} has no platform {platform!r}, but {', '.join(platforms)}"
            ) from None

    @classmethod
    def of_stubs(cls, home: Home, *, seconds: float = _SECONDS) -> Self:
        """The API of the stub producers. Raises ClickException when none run in `home`."""
        try:
            url, token = home.endpoints()["stubs"], home.admin_token()
        except HomeError as error:
            raise click.ClickException(str(error)) from error
        if url is None:
            raise click.ClickException(f"no stub producers run in {home.folder}: they belong to `rivta up`")
        return cls(url, token, owner="the stub producers", seconds=seconds)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON at `path`, as `/status`. Parameters that are None are left out."""
        return self.request("GET", path, params=params)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON answer to any request; None when it is empty."""
        return self._json(self._answer(method, path, params=params, body=body, headers=headers))

    def ask(self, verb: str, path: str, content: Mapping[str, Any]) -> Any:
        """The JSON answer to `content`, which is the query of a GET and else the body."""
        if verb == "GET":
            return self.get(path, content)
        return self.request(verb, path, body=dict(content))

    def content(self, path: str, params: Mapping[str, Any] | None = None) -> bytes:
        """What is at `path`, as it is. Parameters that are None are left out."""
        return self._answer("GET", path, params=params).content

    def _answer(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> "requests.Response":
        import requests

        with requests.Session() as session:
            session.trust_env = False  # a proxy in the environment is not for the loopback
            try:
                answer = session.request(
                    method,
                    f"{self._url}{path}",
                    params={name: value for name, value in (params or {}).items() if value is not None},
                    json=body,
                    headers={**(headers or {}), "Authorization": f"Bearer {self._token}"},
                    timeout=self._seconds,
                )
            except requests.RequestException as error:
                raise click.ClickException(
                    f"no answer from {self._owner} at {self._url} ({type(error).__name__}): see `rivta status`"
                ) from error
        if not answer.ok:
            raise Refused(_problem(answer), answer.status_code, _document(answer))
        return answer

    @staticmethod
    def _json(answer: "requests.Response") -> Any:
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise click.ClickException(f"{answer.url} answered with something else than JSON") from error


def _problem(answer: "requests.Response") -> str:
    """The refusal in one line: RFC 9457 gives `title` and `detail`."""
    problem = _document(answer)
    title, detail = str(problem.get("title", "")), str(problem.get("detail", ""))
    text = ": ".join(part for part in (title, detail) if part) or f"{answer.url}: {answer.reason}"
    return f"{' '.join(text.split())} (HTTP {answer.status_code})"


def _document(answer: "requests.Response") -> dict[str, Any]:
    """The problem document; empty when the answer is none."""
    try:
        problem = answer.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
