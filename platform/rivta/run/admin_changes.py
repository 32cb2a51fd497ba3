"""The admin API's part for changes of several files of the draft: what they do, and writing them as one.

An import or an order is made by whoever has the files; here it is looked through, previewed, written and noted. Where
two platforms' drafts change together, each platform's keeper says that it may, and one of them writes both.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from rivta.catalogue.as_json import problem_json
from rivta.catalogue.compile import UncompilableTable
from rivta.catalogue.desk import Imported
from rivta.catalogue.drafts import (
    MAX_BYTES,
    BadName,
    Change,
    DraftChanged,
    DraftFolder,
    FilesChange,
    digest_of,
    digest_of_all,
)
from rivta.catalogue.examining import Examined
from rivta.catalogue.exchange.ledger import Loaded, PublicationFileRefused, all_loaded_from
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.trail import Action
from rivta.run.admin_door import ApiPath, Refusal, Role, caller_of
from rivta.run.admin_preview import Named, look_ahead
from rivta.run.admin_request import body, etag, if_match

if TYPE_CHECKING:
    from rivta.run.admin import Kept

_Done = TypeVar("_Done")

_ALLOWED_FOR = timedelta(minutes=2)
"""How long a change that was allowed may be written by the other platform's keeper."""

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_FILES = _TEXTS | {"description": "an object of new texts (YAML) by names of files of the draft"}
_REASON = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1000,
    "description": "a text of 1 to 1000 characters for the audit trail: what the change is of",
}
_IMPORTED = {
    "type": "object",
    "description": "an object of platform, number and digest: the signed publication that is taken over",
    "required": ["platform", "number", "digest"],
    "properties": {
        "platform": {"type": "string", "minLength": 1, "description": "an HSA-id"},
        "number": {"type": "integer", "description": "the number of a publication"},
        "digest": {"type": "string", "minLength": 64, "maxLength": 64, "description": "SHA-256, hexadecimal"},
    },
}
_OTHER = {
    "type": "object",
    "description": "an object of files and allowed: what the other platform's keeper has allowed, and its texts",
    "required": ["files", "allowed"],
    "properties": {"files": _FILES, "allowed": {"type": "string", "minLength": 1, "description": "as it was given"}},
}


def _object(required: tuple[str, ...], **fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": fields, "additionalProperties": False}


_PREVIEWED = _object(("files",), files=_FILES)
_ALLOWED = _object(("files", "reason"), files=_FILES, reason=_REASON)
_WRITTEN = _object(("files", "reason"), files=_FILES, reason=_REASON, imported=_IMPORTED, other=_OTHER)
_KNOWN = "Digest (ETag) of /tables/draft that the change was made for; another draft: 412. Must be sent."

CHANGE_PATHS = (
    ApiPath("/tables/draft", "draft", "What the draft is read with, and its digest"),
    ApiPath(
        "/tables/changes/preview",
        "preview_changes",
        "What a change of files brings: mistakes, warnings, and what it changes for callers",
        verb="POST",
        body=_PREVIEWED,
        if_match=_KNOWN,
    ),
    ApiPath(
        "/tables/changes",
        "write_changes",
        "Write a change of files of the draft, all or nothing",
        verb="POST",
        role=Role.EDITOR,
        body=_WRITTEN,
        if_match=_KNOWN,
    ),
    ApiPath(
        "/tables/changes/allow",
        "allow_changes",
        "Let the other platform of the pair write a change of files here together with its own",
        verb="POST",
        role=Role.EDITOR,
        body=_ALLOWED,
        if_match=_KNOWN,
    ),
)


class ChangesApi:
    """Serves CHANGE_PATHS."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._sound = ""
        """The last change that was found to bring no mistakes: it is not looked through again when it is written."""

    async def draft(self, _request: web.Request) -> web.StreamResponse:
        platform = self._kept.settings.platform
        folder = self._kept.desk.files.folder

        def read() -> tuple[dict[str, Loaded], Mapping[str, bytes]]:
            return all_loaded_from(folder), self._kept.desk.files.texts()

        loaded, texts = await self._refusing(read)
        return web.json_response(
            {
                "folder": str(folder),
                "platform": {"hsa_id": platform.hsa_id, "name": platform.name, "short_name": platform.short_name},
                "variables": dict(self._kept.settings.variables),
                "imported": {name: {"number": one.number, "digest": one.digest} for name, one in loaded.items()},
                "files": {name: digest_of(text) for name, text in texts.items()},
                "digest": digest_of_all(texts),
                "autopublish": self._kept.settings.tables.autopublish and not self._kept.autopublisher.is_diverged,
            },
            headers=etag(digest_of_all(texts)),
        )

    async def preview_changes(self, request: web.Request) -> web.StreamResponse:
        change = await self._change(request, _PREVIEWED)

        def look() -> dict[str, Any]:
            examined = self._examined(change)
            return {"warnings": [problem_json(one) for one in examined.warnings], **self._effects(examined)}

        async with self._kept.looking_ahead:
            found = await self._refusing(look)
        return web.json_response(found, headers=etag(change.known))

    async def write_changes(self, request: web.Request) -> web.StreamResponse:
        asked = await self._asked(request, _WRITTEN)
        change, caller = _files_change(request, asked), caller_of(request)
        imported = _imported(asked["imported"]) if "imported" in asked else None
        others = [await self._refusing(lambda: self._allowed(asked["other"]))] if "other" in asked else []
        await self._sound_or_refused(change)

        def write() -> str:
            return self._kept.desk.write(
                change,
                author=caller.name,
                reason=asked["reason"],
                now=self._kept.now(),
                imported=imported,
                others=others,
            )

        async with self._kept.publishing:
            digest = await self._refusing(write)
        return web.json_response({"digest": digest, "files": sorted(change.texts)}, headers=etag(digest))

    async def allow_changes(self, request: web.Request) -> web.StreamResponse:
        asked = await self._asked(request, _ALLOWED)
        change, caller, now = _files_change(request, asked), caller_of(request), self._kept.now()
        await self._sound_or_refused(change)

        def allow() -> str:
            texts = self._kept.desk.files.texts()
            if digest_of_all(texts) != change.known:
                raise DraftChanged(self._kept.desk.files.folder, digest_of_all(texts))
            names = ", ".join(sorted(change.texts)) or "no file"
            self._kept.desk.trail.note(now, caller.name, Action.CHANGE_ALLOWED, names, asked["reason"])
            return sealed(self._kept.desk.files.folder, change, until=now + _ALLOWED_FOR, secret=self._secret())

        async with self._kept.publishing:
            allowed = await self._refusing(allow)
        return web.json_response({"allowed": allowed}, headers=etag(change.known))

    async def _asked(self, request: web.Request, schema: Mapping[str, Any]) -> dict[str, Any]:
        if if_match(request) is None:
            raise Refusal(HTTPStatus.PRECONDITION_REQUIRED, "send If-Match with the ETag of /tables/draft")
        return await body(request, schema, MAX_BYTES)

    async def _change(self, request: web.Request, schema: Mapping[str, Any]) -> FilesChange:
        return _files_change(request, await self._asked(request, schema))

    async def _sound_or_refused(self, change: FilesChange) -> None:
        """Looks a change through before anybody has to wait for it, unless that was just done."""
        if self._key(change) == self._sound:
            return
        async with self._kept.looking_ahead:
            await self._refusing(lambda: self._examined(change))

    def _examined(self, change: FilesChange) -> Examined:
        """Raises Refusal with every mistake that the change brings, DraftChanged when it is of another draft."""
        desk = self._kept.desk
        if digest_of_all(texts := desk.files.texts()) != change.known:
            raise DraftChanged(desk.files.folder, digest_of_all(texts))
        key = self._key(change)
        examined = desk.examine(change, texts, self._kept.now())
        if errors := examined.errors:
            detail = f"it brings {len(errors)} mistake{'' if len(errors) == 1 else 's'}, the first: {errors[0]}"
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=[problem_json(one) for one in errors])
        self._sound = key
        return examined

    def _effects(self, examined: Examined) -> dict[str, Any]:
        """What the change does for callers, or why that cannot be told."""
        if examined.before.errors:
            return {
                "preview": None,
                "unknown": f"the draft has mistakes already, the first: {examined.before.errors[0]}",
            }
        newest = self._kept.hsa_versions.newest()
        tree = HsaTree() if newest is None else self._kept.hsa_versions.tree(newest.number)
        tables = Named("draft", examined.before.draft), Named("draft with the changes", examined.after.draft)
        try:
            found = look_ahead(self._kept, tables, (tree, tree), now=self._kept.now())
        except UncompilableTable as error:
            return {"preview": None, "unknown": f"the draft cannot be compiled: {error}"}
        return {"preview": found, "unknown": None}

    def _key(self, change: FilesChange) -> str:
        return f"{change.known} {digest_of_all(change.texts)}"

    def _allowed(self, asked: Mapping[str, Any]) -> Change:
        folder, change = opened(asked["allowed"], _texts(asked["files"]), now=self._kept.now(), secret=self._secret())
        return DraftFolder(folder), change

    def _secret(self) -> bytes:
        """What the keepers of one pair share and nobody else has: the token of their administrator.

        Raises NotAllowed when there is none, which everybody would know.
        """
        file = self._kept.settings.listen.admin_token
        secret = file.read_bytes().strip()
        if not secret:
            raise NotAllowed(f"{file} is empty: two platforms' drafts change together only where both have its token")
        return secret

    async def _refusing(self, do: Callable[[], _Done]) -> _Done:
        """What is done in a thread, with its refusals as the API tells them."""
        try:
            return await asyncio.to_thread(do)
        except DraftChanged as error:
            raise Refusal(HTTPStatus.PRECONDITION_FAILED, str(error), etag=error.digest) from error
        except BadName as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from error
        except PublicationFileRefused as error:
            raise Refusal(HTTPStatus.CONFLICT, f"the signed publication {error}") from error
        except NotAllowed as error:
            raise Refusal(HTTPStatus.FORBIDDEN, str(error)) from error


class NotAllowed(ValueError):
    """The other platform's keeper has not allowed what is to be written to its draft."""


def sealed(folder: Path, change: FilesChange, *, until: datetime, secret: bytes) -> str:
    """That a change of the draft in `folder` may be written, by whoever knows the secret, until then."""
    digests = {name: digest_of(text) for name, text in change.texts.items()}
    said = {"folder": str(folder), "known": change.known, "files": digests, "until": until.isoformat()}
    text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
    return f"{text}.{_seal(text, secret)}"


def opened(allowed: str, texts: Mapping[str, bytes], *, now: datetime, secret: bytes) -> tuple[Path, FilesChange]:
    """The folder and the change that were allowed, if `texts` are those. Raises NotAllowed."""
    text, _, seal = allowed.partition(".")
    if not hmac.compare_digest(seal.encode("utf-8", "surrogateescape"), _seal(text, secret).encode()):
        raise NotAllowed("the other platform's keeper did not allow this: the two are no pair, with one admin token")
    said = json.loads(base64.urlsafe_b64decode(text))
    if datetime.fromisoformat(said["until"]) < now:
        raise NotAllowed("the other platform's keeper allowed this too long ago; do it again")
    if said["files"] != {name: digest_of(content) for name, content in texts.items()}:
        raise NotAllowed("the other platform's keeper allowed other files than these")
    return Path(said["folder"]), FilesChange(texts, said["known"])


def _seal(text: str, secret: bytes) -> str:
    return hmac.new(
        secret, b"rivta change of files " + text.encode("utf-8", "surrogateescape"), hashlib.sha256
    ).hexdigest()


def _files_change(request: web.Request, asked: Mapping[str, Any]) -> FilesChange:
    return FilesChange(_texts(asked["files"]), if_match(request) or "")


def _texts(files: Mapping[str, str]) -> dict[str, bytes]:
    return {name: text.encode("utf-8", "surrogatepass") for name, text in files.items()}


def _imported(said: Mapping[str, Any]) -> Imported:
    return Imported(said["platform"], Loaded(said["number"], said["digest"]))
