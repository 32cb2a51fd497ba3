"""Where `rivta route` finds tables: in files, or in a running pair; and the options that say which."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rivta.cli.progress import progress_bar

if TYPE_CHECKING:
    from rivta.catalogue.files import Reading
    from rivta.catalogue.hsa import HsaTree
    from rivta.catalogue.rows import Draft
    from rivta.catalogue.table import Table
    from rivta.contracts.installed import Contracts

_Command = TypeVar("_Command", bound=Callable[..., Any])

LARGE_TABLES_SECONDS = 300.0
"""How long an answer about a large table is waited for."""

_SHARED_VARIABLES = ("national", "regional", "aggregation", "index", "catalogue", "monitoring")
"""Variables that `rivta up` sets, beside one for each stub producer."""


class ManyTables(click.Command):
    """`--tables A B C` means three tables, as it reads; click itself takes one value for each option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        option = ""
        for argument in args:
            if argument.startswith("-"):
                option = argument if argument in ("--tables", "--hsa") else ""
                spread.append(argument)
            else:
                if option and spread[-1] != option:
                    spread.append(option)
                spread.append(argument)
        return super().parse_args(ctx, spread)


def table_options(command: _Command) -> _Command:
    """Gives the command `--platform`, `--tables` and `--hsa`."""
    hsa_help = "With --tables: the HSA tree, a file or a folder.  [default: the folder hsa beside them]"
    command = click.option("--hsa", type=EXISTING, multiple=True, metavar="PATH", help=hsa_help)(command)
    tables_help = "Look at these files or folders instead of a running pair."
    command = click.option("--tables", type=EXISTING, multiple=True, metavar="PATH...", help=tables_help)(command)
    platform_help = "national, regional: whose tables.  [default: national]"
    return click.option("--platform", metavar="NAME", default="national", help=platform_help)(command)


EXISTING = click.Path(exists=True, path_type=Path)


@dataclass(frozen=True, slots=True)
class Files:
    """Tables of one platform on disk."""

    tables: tuple[Path, ...]
    hsa: tuple[Path, ...]
    own_variable: str | None = None
    """Name of the variable that is the platform's own address, where the folder tells whose tables they are."""


def on_disk(platform: str, tables: tuple[Path, ...], hsa: tuple[Path, ...]) -> Files:
    """The tables meant: a folder with a folder for each platform stands for that of `platform`."""
    narrowed = tuple(path / platform if (path / platform).is_dir() else path for path in tables)
    return Files(narrowed, hsa or hsa_beside(narrowed), platform)


def to_check(paths: tuple[Path, ...], hsa: tuple[Path, ...]) -> list[Files]:
    """The tables in `paths`, of each platform by itself."""
    if len(paths) == 1 and (folders := platform_folders(paths[0])):
        return [Files((folder,), hsa or hsa_beside((folder,)), folder.name) for folder in folders]
    own = paths[0].name if len(paths) == 1 else None
    return [Files(paths, hsa or hsa_beside(paths), own if own in ("national", "regional") else None)]


def platform_folders(path: Path) -> list[Path]:
    """The folders of the platforms in a folder; none when it is of one platform, or a file."""
    if not path.is_dir():
        return []
    return [path / name for name in ("national", "regional") if (path / name).is_dir()]


def hsa_beside(tables: tuple[Path, ...]) -> tuple[Path, ...]:
    """The folder `hsa` beside one of the folders of tables, if there is any."""
    for path in tables:
        folder = (path if path.is_dir() else path.parent).absolute().parent / "hsa"
        if folder.is_dir():
            return (folder,)
    return ()


def default_tables(home: str | None) -> Path:
    """The tables of the pair's home, else those that come with the program."""
    from rivta import shipped
    from rivta.run.home import resolve

    working_copy = resolve(home).routing
    return working_copy if working_copy.is_dir() else shipped.folder("routing")


def read_files(
    files: Files, contracts: Contracts, progress: Callable[[int, int], None] | None = None
) -> tuple[Reading, HsaTree, tuple[Any, ...]]:
    """The draft in files, the HSA tree, and every mistake in the tree."""
    from rivta.catalogue.files import read_draft
    from rivta.catalogue.hsa import read_hsa

    tree, problems = read_hsa(*files.hsa)
    return read_draft(*files.tables, contracts=contracts, progress=progress), tree, problems


@contextmanager
def opened(files: Files, contracts: Contracts) -> Iterator[Table]:
    """The files compiled as they are, with `${name}` in URLs left as it stands; ClickException when they are broken."""
    from rivta.catalogue import content
    from rivta.catalogue.compile import VARIABLE, UncompilableTable, compile_table
    from rivta.catalogue.table import Table

    reading, tree, problems = read_files(files, contracts)
    refuse_broken((*problems, *reading.problems))
    names = {name for row in reading.draft.producer_addresses for name in VARIABLE.findall(row.url)}
    unresolved = {name: f"${{{name}}}" for name in names}
    with tempfile.TemporaryDirectory(prefix="rivta-") as folder:
        try:
            path = compile_table(content.encode(reading.draft), hsa=tree, variables=unresolved, folder=Path(folder))
        except UncompilableTable as error:
            raise click.ClickException(f"{error}; `rivta route lint` lists everything that is wrong") from error
        table = Table.open(path)
        try:
            yield table
        finally:
            table.close()


def ask(home: str | None, platform: str, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the keeper of a running platform answers; ClickException when none runs or it refuses."""
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    answer: dict[str, Any] = AdminClient.of_platform(resolve(home), platform).get(path, params)
    return answer


def ask_patiently(
    home: str | None, platform: str, path: str, params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The same for what takes a while with a large table."""
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    client = AdminClient.of_platform(resolve(home), platform, seconds=LARGE_TABLES_SECONDS)
    answer: dict[str, Any] = client.get(path, params)
    return answer


@dataclass(frozen=True, slots=True)
class Given:
    """A whole table that somebody named: a running pair's or one in files."""

    label: str
    draft: Draft
    tree: HsaTree
    hsa_id: str | None = None
    """Of the platform whose table it is, where that is known."""


def is_of_running_pair(text: str | None) -> bool:
    """The name means a table of a running pair: a number, `draft`, or nothing for what is in force."""
    return text is None or text == "draft" or text.isdigit()


def given_table(
    text: str | None,
    *,
    platform: str,
    home: str | None,
    contracts: Contracts,
    hsa: tuple[Path, ...] = (),
    trust: Path | None = None,
) -> Given:
    """The table that `text` names: a number, `draft`, what is in force (None), a folder, YAML, or a publication file.

    `hsa` is the tree to take, by default the pair's, or that beside files. Raises ClickException.
    """
    from dataclasses import replace

    found = (
        _of_running_pair(text, platform, home)
        if is_of_running_pair(text)
        else _of_files(Path(text or ""), platform, contracts, hsa, trust)
    )
    return replace(found, tree=read_tree(hsa)) if hsa else found


def files_table(paths: tuple[Path, ...], *, platform: str, contracts: Contracts, hsa: tuple[Path, ...]) -> Given:
    """The tables in files, merged; ClickException when anything is wrong in how they are written."""
    files = on_disk(platform, paths, hsa)
    with progress_bar("reading") as progress:
        reading, tree, problems = read_files(files, contracts, progress=progress)
    refuse_broken((*problems, *reading.problems))
    label = ", ".join(str(path) for path in files.tables)
    return Given(label, reading.draft, tree)


def read_tree(paths: tuple[Path, ...]) -> HsaTree:
    """The HSA tree in files; ClickException when anything is wrong in it."""
    from rivta.catalogue.hsa import read_hsa

    tree, problems = read_hsa(*paths)
    refuse_broken(problems)
    return tree


def refuse_broken(problems: Sequence[Any]) -> None:
    """ClickException that names the first mistake, when there is any."""
    if problems:
        more = f" (and {len(problems) - 1} more: `rivta route lint` lists them)" if len(problems) > 1 else ""
        raise click.ClickException(f"{problems[0]}{more}")


def _of_running_pair(text: str | None, platform: str, home: str | None) -> Given:
    from rivta.catalogue import content
    from rivta.catalogue.hsa import HsaTree

    found = ask_patiently(home, platform, "/tables/snapshot", {"publication": text})
    tree = HsaTree.from_content(found["hsa"].encode())
    draft = content.decode(found["content"].encode())
    return Given(found["publication"], draft, tree, found["platform"]["hsa_id"])


def _of_files(path: Path, platform: str, contracts: Contracts, hsa: tuple[Path, ...], trust: Path | None) -> Given:
    if not path.exists():
        raise click.ClickException(f"{path}: no such file or folder; or say the number of a publication, or draft")
    if path.is_dir() or path.suffix in (".yaml", ".yml"):
        return files_table((path,), platform=platform, contracts=contracts, hsa=hsa)
    return _of_publication_file(path, hsa, trust)


def _of_publication_file(path: Path, hsa: tuple[Path, ...], trust: Path | None) -> Given:
    from datetime import UTC, datetime

    from rivta.catalogue.exchange.ledger import PublicationFileRefused
    from rivta.catalogue.exchange.signed import read

    if trust is None:
        raise click.UsageError(
            f"{path} is taken for a publication file: say --trust PEM, the certificate it is signed by"
        )
    try:
        found = read(path.read_bytes(), trusted=trust.read_bytes(), now=datetime.now(UTC))
    except PublicationFileRefused as error:
        raise click.ClickException(f"{path} {error}") from error
    tree = read_tree(hsa or hsa_beside((path,)))
    return Given(f"{path} (publication {found.about.version})", found.draft, tree, found.platform)


def namespace_of(contracts: Contracts, text: str) -> str:
    """The namespace of the contract that `text` names; ClickException when there is not just one."""
    if text.startswith("urn:"):
        return text
    try:
        return str(contracts.find(text).namespace)
    except LookupError as error:
        raise click.ClickException(str(error)) from error


def known_variables(given: tuple[str, ...]) -> dict[str, str]:
    """The variables tables may use: those of `rivta up`, with an address that leads nowhere, and those given."""
    from producers_stub.world import World

    names = (*_SHARED_VARIABLES, *(producer.name for producer in World.load().producers))
    known = {name: f"https://{name}.invalid/" for name in names}
    for text in given:
        name, _, url = text.partition("=")
        known[name] = url or f"https://{name}.invalid/"
    return known
