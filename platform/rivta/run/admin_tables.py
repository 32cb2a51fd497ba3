"""The admin API's part for the draft's files, publications, proposals, the audit trail, and tokens."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from rivta.catalogue.as_json import problem_json, publication_json
from rivta.catalogue.desk import Outcome, SamePerson, Wish
from rivta.catalogue.differences import differences_json
from rivta.catalogue.drafts import MAX_BYTES, BadName, FileChanged, digest_of
from rivta.catalogue.proposals import AlreadyDecided, Proposal, ProposalState
from rivta.catalogue.publications import BaseChanged, ConfirmationNeeded, Publication, PublicationRefused
from rivta.catalogue.trail import Action
from rivta.run.admin_door import ApiPath, Refusal, Role, caller_of
from rivta.run.admin_request import body, etag, if_match, if_none_match, instant, limit, number_in_path
from rivta.run.tokens import TokenRefused

if TYPE_CHECKING:
    from rivta.run.admin import Kept

_Done = TypeVar("_Done")

_MOST_CHANGES = 1000
"""Changes told in a refusal; how many there are is told too."""

_YAML = "application/yaml"


def _object(required: tuple[str, ...], **fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": fields, "additionalProperties": False}


_COMMENT = {"type": "string", "minLength": 1, "maxLength": 1000, "description": "a text of 1 to 1000 characters"}
_NUMBER = {"type": "integer", "description": "the number of a publication"}

_PUBLISH = _object(
    ("comment",),
    comment=_COMMENT,
    files={"type": "array", "items": {"type": "string"}, "description": "a list of files of the draft; left out: all"},
    at={"type": "string", "description": "a time in ISO 8601 with its zone; left out: now"},
    confirm={"type": "string", "description": "the confirmation that a refusal asked for"},
    allow_empty={"type": "boolean", "description": "true to publish a table without routes and permissions"},
)
_ROLLBACK = _object(("publication", "comment"), publication=_NUMBER, comment=_COMMENT)
_RESET = _object((), publication=_NUMBER)
_TOKEN = _object(
    ("name", "role"),
    name={"type": "string", "minLength": 1, "maxLength": 64, "description": "a name"},
    role={"type": "string", "enum": [role.value for role in Role], "description": " or ".join(r.value for r in Role)},
    expires={"type": "string", "description": "a time in ISO 8601 with its zone; left out: never"},
)
_FILE = {"type": "string", "description": f"YAML in UTF-8, at most {MAX_BYTES // 2**20} MB"}
_KNOWN = "Digest (ETag) of the publication that is known to be in force; another one in force: 412."
_FILE_KNOWN = "Digest (ETag) of the file as it was read; another one there: 412. If-None-Match: * for a new file."

TABLE_PATHS = (
    ApiPath("/tables/files", "files", "Files of the draft, with their digests"),
    ApiPath("/tables/files/{name}", "file", "A file of the draft, as YAML"),
    ApiPath(
        "/tables/files/{name}",
        "write_file",
        "Put a file of the draft in place of the one that was read",
        verb="PUT",
        role=Role.EDITOR,
        body=_FILE,
        body_type=_YAML,
        if_match=_FILE_KNOWN,
    ),
    ApiPath(
        "/tables/files/{name}",
        "remove_file",
        "Take a file of the draft away",
        verb="DELETE",
        role=Role.EDITOR,
        if_match=_FILE_KNOWN,
    ),
    ApiPath(
        "/tables/publish",
        "publish",
        "Publish the draft, or propose it",
        verb="POST",
        role=Role.PUBLISHER,
        body=_PUBLISH,
        if_match=_KNOWN,
    ),
    ApiPath("/tables/publications", "publications", "Publications, newest first", ("limit",)),
    ApiPath("/tables/publications/{number}", "publication", "A publication"),
    ApiPath(
        "/tables/rollback",
        "rollback",
        "Publish an older publication again, or propose that",
        verb="POST",
        role=Role.PUBLISHER,
        body=_ROLLBACK,
        if_match=_KNOWN,
    ),
    ApiPath(
        "/tables/reset",
        "reset",
        "Make the draft what a publication was made of; left out: the newest",
        verb="POST",
        role=Role.PUBLISHER,
        body=_RESET,
    ),
    ApiPath("/tables/proposals", "proposals", "Proposals that wait for an approval; with all=1 every one", ("all",)),
    ApiPath(
        "/tables/proposals/{id}/approve",
        "approve",
        "Approve somebody else's proposal",
        verb="POST",
        role=Role.PUBLISHER,
    ),
    ApiPath("/tables/proposals/{id}", "withdraw", "Withdraw or refuse a proposal", verb="DELETE", role=Role.PUBLISHER),
    ApiPath("/tables/scheduled", "scheduled", "Publications that wait for their time, and those refused at it"),
    ApiPath(
        "/tables/scheduled/{id}",
        "withdraw",
        "Cancel a scheduled publication, or put away a refused one",
        verb="DELETE",
        role=Role.PUBLISHER,
    ),
    ApiPath("/tables/audit", "audit", "Who did what to tables and tokens, newest first", ("limit",)),
    ApiPath("/tokens", "tokens", "Named tokens, without their secrets", role=Role.ADMIN),
    ApiPath(
        "/tokens",
        "create_token",
        "Make a token; its secret is told this once",
        verb="POST",
        role=Role.ADMIN,
        body=_TOKEN,
    ),
    ApiPath(
        "/tokens/{name}",
        "revoke_token",
        "Revoke the tokens of a name, or the one with an id",
        verb="DELETE",
        role=Role.ADMIN,
    ),
)


class TablesApi:
    """Serves TABLE_PATHS."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def files(self, _request: web.Request) -> web.StreamResponse:
        found = await self._alone(self._kept.desk.files.files)
        return web.json_response({"files": [dataclasses.asdict(one) for one in found]})

    async def file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        text = await self._alone(lambda: self._kept.desk.files.read(name))
        return web.Response(body=text, content_type=_YAML, charset="utf-8", headers=etag(digest_of(text)))

    async def write_file(self, request: web.Request) -> web.StreamResponse:
        name, known, is_new = request.match_info["name"], if_match(request), if_none_match(request) == "*"
        if (known is None) != is_new:
            raise Refusal(
                HTTPStatus.PRECONDITION_REQUIRED,
                "send If-Match with the digest of the file as you read it, or If-None-Match: * for a new one",
            )
        text = await request.read()
        caller, now = caller_of(request), self._kept.now()
        if problems := await asyncio.to_thread(self._file_problems, name, text):
            told = [problem_json(problem) for problem in problems]
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} is not written: {problems[0]}", errors=told)

        def write() -> str:
            digest = self._kept.desk.files.write(name, text, expected=known)
            self._kept.desk.trail.note(now, caller.name, Action.FILE_WRITTEN, name, f"{known or 'new'} -> {digest}")
            return digest

        digest = await self._on_files(name, write)
        return web.json_response({"name": name, "digest": digest, "bytes": len(text)}, headers=etag(digest))

    async def remove_file(self, request: web.Request) -> web.StreamResponse:
        name, known = request.match_info["name"], if_match(request)
        if known is None:
            raise Refusal(HTTPStatus.PRECONDITION_REQUIRED, "send If-Match with the digest of the file as you read it")
        caller, now = caller_of(request), self._kept.now()

        def remove() -> None:
            self._kept.desk.files.remove(name, expected=known)
            self._kept.desk.trail.note(now, caller.name, Action.FILE_REMOVED, name, known)

        await self._on_files(name, remove)
        return web.json_response({"name": name, "digest": None})

    async def publish(self, request: web.Request) -> web.StreamResponse:
        asked = await body(request, _PUBLISH)
        files = asked.get("files")
        wish = Wish(
            author=caller_of(request).name,
            comment=asked["comment"],
            files=None if files is None else tuple(files),
            at=instant(asked.get("at"), "at"),
            based_on=_publication_known(request),
            confirmed=asked.get("confirm", ""),
            allow_empty=asked.get("allow_empty", False),
        )
        return await self._publishing(lambda now: self._kept.desk.publish(wish, now))

    async def rollback(self, request: web.Request) -> web.StreamResponse:
        asked, caller, known = await body(request, _ROLLBACK), caller_of(request), _publication_known(request)
        return await self._publishing(
            lambda now: self._kept.desk.rollback(
                asked["publication"], author=caller.name, comment=asked["comment"], based_on=known, now=now
            )
        )

    async def approve(self, request: web.Request) -> web.StreamResponse:
        id, caller = number_in_path(request, "id", "proposal"), caller_of(request)
        return await self._publishing(lambda now: self._kept.desk.approve(id, approver=caller.name, now=now))

    async def withdraw(self, request: web.Request) -> web.StreamResponse:
        id, caller = number_in_path(request, "id", "proposal"), caller_of(request)
        now = self._kept.now()
        done = await self._alone(lambda: self._kept.desk.withdraw(id, actor=caller.name, now=now))
        return web.json_response({"proposal": done.to_json()})

    async def reset(self, request: web.Request) -> web.StreamResponse:
        asked, caller, now = await body(request, _RESET), caller_of(request), self._kept.now()

        def reset() -> tuple[int, Path]:
            newest = self._kept.publications.newest()
            if newest is None:
                raise LookupError("there is no publication to reset the draft to")
            number = asked.get("publication", newest.number)
            return number, self._kept.desk.reset(number, author=caller.name, now=now)

        number, kept_in = await self._alone(reset)
        was_kept = await asyncio.to_thread(kept_in.exists)
        await self._kept.publish_now()
        return web.json_response({"publication": number, "kept_in": str(kept_in) if was_kept else None})

    async def publications(self, request: web.Request) -> web.StreamResponse:
        history = await asyncio.to_thread(self._kept.publications.history, limit(request, 100))
        headers = etag(history[0].digest) if history else None
        return web.json_response({"publications": [publication_json(one) for one in history]}, headers=headers)

    async def publication(self, request: web.Request) -> web.StreamResponse:
        number = number_in_path(request, "number", "publication")

        def read() -> dict[str, Any]:
            found = publication_json(self._kept.publications.get(number))
            return found | {"sources": self._kept.publications.sources(number)}

        found = await self._refusing(asyncio.to_thread(read))
        return web.json_response(found, headers=etag(found["digest"]))

    async def proposals(self, request: web.Request) -> web.StreamResponse:
        states = () if request.query.get("all") else (ProposalState.PROPOSED,)
        found = await asyncio.to_thread(self._kept.desk.proposals.newest, *states)
        return web.json_response({"proposals": [one.to_json() for one in found]})

    async def scheduled(self, _request: web.Request) -> web.StreamResponse:
        states = ProposalState.SCHEDULED, ProposalState.REFUSED
        found = await asyncio.to_thread(self._kept.desk.proposals.newest, *states)
        return web.json_response({"scheduled": [one.to_json() for one in found]})

    async def audit(self, request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(self._kept.desk.trail.newest, limit(request, 100))
        return web.json_response({"events": [one.to_json() for one in found]})

    async def tokens(self, _request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(self._kept.tokens.all)
        return web.json_response({"tokens": [one.to_json() for one in found]})

    async def create_token(self, request: web.Request) -> web.StreamResponse:
        asked, caller = await body(request, _TOKEN), caller_of(request)
        expires = instant(asked.get("expires"), "expires")
        token, secret = await self._refusing(
            asyncio.to_thread(
                self._kept.tokens.create, asked["name"], Role(asked["role"]), expires=expires, by=caller.name
            )
        )
        return web.json_response(token.to_json() | {"token": secret})

    async def revoke_token(self, request: web.Request) -> web.StreamResponse:
        name, caller = request.match_info["name"], caller_of(request)
        done = await self._refusing(asyncio.to_thread(self._kept.tokens.revoke, name, by=caller.name))
        return web.json_response({"revoked": [one.to_json() for one in done]})

    def _file_problems(self, name: str, text: bytes) -> tuple[Any, ...]:
        with tempfile.TemporaryDirectory(prefix="rivta-") as folder:
            try:
                return self._kept.desk.check_file(name, text, Path(folder))
            except BadName as error:
                raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from error

    async def _publishing(self, do: Callable[[datetime], Outcome]) -> web.StreamResponse:
        """Something that may put another table in force, which it then is when the answer goes out."""
        before, outcome = await self._alone(lambda: self._with_newest_before(do))
        proposal = outcome.to_json() if isinstance(outcome, Proposal) else None
        publication = publication_json(outcome) if isinstance(outcome, Publication) else None
        made = isinstance(outcome, Publication) and outcome.number > before
        headers = etag(outcome.digest) if isinstance(outcome, Publication) else None
        return web.json_response({"made": made, "publication": publication, "proposal": proposal}, headers=headers)

    def _with_newest_before(self, do: Callable[[datetime], Outcome]) -> tuple[int, Outcome]:
        kept = self._kept
        before = kept.publications.newest_number()
        outcome = do(kept.now())
        if isinstance(outcome, Publication):
            kept.autopublisher.follow(kept.now())
            kept.table.check()
        return before, outcome

    async def _on_files(self, name: str, do: Callable[[], _Done]) -> _Done:
        """Something with a file of the draft, told by what is there now when that is not what was expected."""
        try:
            return await self._alone(do)
        except FileChanged as error:
            raise Refusal(HTTPStatus.PRECONDITION_FAILED, str(error), etag=error.digest, digest=error.digest) from error

    async def _alone(self, do: Callable[[], _Done]) -> _Done:
        """Something that only one may do at a time, in a thread."""
        async with self._kept.publishing:
            return await self._refusing(asyncio.to_thread(do))

    async def _refusing(self, doing: Awaitable[_Done]) -> _Done:
        """What is done, with its refusals as the API tells them."""
        try:
            return await doing
        except BaseChanged as error:
            raise Refusal(
                HTTPStatus.PRECONDITION_FAILED,
                str(error),
                etag=error.newest.digest,
                newest=publication_json(error.newest),
                changed=differences_json(error.changed[:_MOST_CHANGES]),
                changed_count=len(error.changed),
            ) from error
        except ConfirmationNeeded as error:
            raise Refusal(
                HTTPStatus.CONFLICT,
                str(error),
                confirm=error.confirmation,
                brought_back=differences_json(error.back[:_MOST_CHANGES]),
                brought_back_count=len(error.back),
            ) from error
        except SamePerson as error:
            raise Refusal(HTTPStatus.FORBIDDEN, str(error)) from error
        except AlreadyDecided as error:
            raise Refusal(HTTPStatus.CONFLICT, str(error)) from error
        except PublicationRefused as error:
            if not error.problems:
                raise Refusal(HTTPStatus.CONFLICT, str(error)) from error
            told = [problem_json(problem) for problem in error.problems]
            detail = f"{error}: {error.problems[0]}"
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=told) from error
        except (BadName, TokenRefused) as error:
            status = HTTPStatus.BAD_REQUEST if isinstance(error, BadName) else HTTPStatus.CONFLICT
            raise Refusal(status, str(error)) from error
        except LookupError as error:
            raise Refusal(HTTPStatus.NOT_FOUND, str(error.args[0] if error.args else error)) from error


def _publication_known(request: web.Request) -> str | None:
    known = if_match(request)
    return None if known == "*" else known
