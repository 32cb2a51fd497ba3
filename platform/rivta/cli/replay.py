"""`rivta replay`: send cases, check the answers, and write reports; or decide only, by another table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.options import home_and_json, print_json
from rivta.cli.progress import progress_bar

if TYPE_CHECKING:
    from rivta.catalogue.rows import Problem
    from rivta.contracts.installed import Contracts
    from rivta.run.home import Home
    from rivta.testing.cases import Case
    from rivta.testing.pacing import Pace
    from rivta.testing.replay import Bench, Job
    from rivta.testing.results import Result, Run
    from rivta.testing.staging import Stage
    from rivta.testing.targets import Targets

_EXISTING = click.Path(exists=True, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_TO_WRITE = click.Path(dir_okay=False, writable=True, path_type=Path)
_MOST_LOOKED_UP = 10_000
_MOST_TOUCHED = 500
"""Messages of a run of which it is told what they touched: the stub producers keep the newest thousand calls."""
_LOG_SECONDS = 2.0


@click.command(name="replay", epilog="Example: rivta replay cases --html report.html")
@click.argument("paths", nargs=-1, required=True, type=_EXISTING, metavar="PATH...")
@click.option("--via", metavar="NAME", help="Send everything to this platform.  [default: as cases say, or national]")
@click.option("--as", "identity", metavar="IDENTITY", help="Send everything with this identity's certificate.")
@click.option("--url", metavar="URL", help="Send to this URL instead of to the pair.")
@click.option("--cert", type=_FILE, metavar="PEM", help="With --url: the client certificate.")
@click.option("--key", type=_FILE, metavar="PEM", help="With --url: its key.")
@click.option("--ca", type=_FILE, multiple=True, metavar="PEM", help="With --url: whom to trust there.")
@click.option("--allow-host", multiple=True, metavar="HOST", help="A host beside this machine that may be sent to.")
@click.option("--allow-writes", is_flag=True, help="Send what may change something, too.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="The value of a variable.")
@click.option("--csv", "rows_file", type=_FILE, metavar="FILE", help="Send everything once for each row of variables.")
@click.option("--parallel", type=click.IntRange(1, 500), default=1, show_default=True, help="Messages at a time.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Messages a second.  [default: one by one]")
@click.option("--ramp", type=click.FloatRange(min=0), default=0, metavar="SECONDS", help="Get there slowly.")
@click.option("--repeat", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="Times to send all.")
@click.option("--shuffle", type=int, metavar="SEED", help="In a random order, the same for the same seed.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=60, show_default=True, metavar="SECONDS"
)
@click.option("--junit", type=_TO_WRITE, metavar="FILE", help="Write JUnit XML.")
@click.option("--html", type=_TO_WRITE, metavar="FILE", help="Write a report for people.")
@home_and_json
def command(
    paths: tuple[Path, ...],
    via: str | None,
    identity: str | None,
    url: str | None,
    cert: Path | None,
    key: Path | None,
    ca: tuple[Path, ...],
    allow_host: tuple[str, ...],
    allow_writes: bool,
    settings: tuple[str, ...],
    rows_file: Path | None,
    parallel: int,
    rate: float | None,
    ramp: float,
    repeat: int,
    shuffle: int | None,
    timeout: float,
    junit: Path | None,
    html: Path | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Send the cases in and below each PATH, and check their answers.

    A case is a folder with request.xml, and perhaps response.xml and message.yaml. What is wrong is told
    before anything is sent; the rest runs. Exit code 0 when all passed, 1 when not. Ctrl-C ends the run, and what there
    is of it is reported.
    """
    from rivta.cli.contract import installed
    from rivta.run.home import resolve
    from rivta.testing.pacing import Pace
    from rivta.testing.targets import TargetRefused

    if url is None and (cert or key or ca):
        raise click.UsageError("--cert, --key and --ca go together with --url")
    if url is not None and (via or identity):
        raise click.UsageError("--via and --as are of the pair; with --url give --cert and --key")
    for file in (junit, html):
        if file is not None and not file.absolute().parent.is_dir():
            raise click.UsageError(f"{file}: there is no folder {file.parent}")
    found = resolve(home)
    try:
        targets = _targets(found, url=url, files=(cert, key, ca), via=via, identity=identity, hosts=allow_host)
    except TargetRefused as error:
        raise click.ClickException(str(error)) from error
    contracts = installed(home)
    pace = Pace(parallel, rate, ramp, repeat, shuffle, timeout)
    jobs, refused = _jobs(paths, settings, rows_file, contracts)
    bench = _bench(targets, contracts, allow_writes=allow_writes)
    with _stage(found, is_pair=url is None, jobs=jobs) as stage:
        run = _run(bench, jobs, refused, pace, stage)
    if url is None and (html or as_json) and len(run.results) <= _MOST_LOOKED_UP:
        run = _with_producers(found, run)
    _write(run, junit, html)
    if as_json:
        from rivta.testing.reports.as_json import run_json

        print_json(run_json(run))
    else:
        from rivta.cli.replay_output import print_run

        print_run(run)
    return 0 if run.has_passed else 1


def _targets(
    home: Home,
    *,
    url: str | None,
    files: tuple[Path | None, Path | None, tuple[Path, ...]],
    via: str | None,
    identity: str | None,
    hosts: Sequence[str],
) -> Targets:
    """Where everything goes. Raises TargetRefused, also for a host that is not allowed; HomeError when no pair runs."""
    from rivta.testing.targets import check_host, hosts_of, of_pair, of_url

    if url is not None:
        certificate, key, trusted = files
        check_host(url, hosts)
        return of_url(url, certificate=certificate, key=key, trusted=trusted)
    endpoints = home.endpoints()
    targets = of_pair(endpoints, via=via, identity=identity)
    for one in targets.urls.values():
        check_host(one, {*hosts, *hosts_of(endpoints)})
    return targets


@contextmanager
def _stage(home: Home, *, is_pair: bool, jobs: Sequence[Job]) -> Iterator[Stage | None]:
    """What gives cases what they want to find; None where none wants anything, or what is sent to is no pair.

    ClickException when what a run before has left cannot be put back.
    """
    if not is_pair or all(job.case.state is None for job in jobs):
        yield None
        return
    from rivta.testing.pair import RunningPair
    from rivta.testing.staging import CannotSet, Stage

    try:
        with Stage(RunningPair(home.folder)) as stage:
            yield stage
    except CannotSet as error:
        raise click.ClickException(str(error)) from error


def _bench(targets: Targets, contracts: Contracts, *, allow_writes: bool) -> Bench:
    from rivta.contracts.validation import Validators
    from rivta.testing.replay import Bench

    return Bench(targets, contracts=contracts, validators=Validators(contracts), allow_writes=allow_writes)


def _jobs(
    paths: Sequence[Path], settings: Sequence[str], rows_file: Path | None, contracts: Contracts
) -> tuple[list[Job], list[Result]]:
    """What is to be sent, and results for the cases that cannot be read. ClickException where there is nothing else."""
    from rivta.testing.replay import plan, unreadable
    from rivta.testing.variables import read_csv, read_settings

    try:
        given = read_settings(settings)
    except ValueError as error:
        raise click.UsageError(f"--set {error}") from error
    problems: list[Problem] = []
    rows = read_csv(rows_file, problems) if rows_file is not None else ()
    if problems:
        raise click.ClickException(str(problems[0]))
    cases, broken = read_cases(paths, contracts)
    try:
        jobs = plan(cases, rows, given)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return jobs, [unreadable(name, found) for name, found in broken.items()]


def read_cases(paths: Sequence[Path], contracts: Contracts) -> tuple[list[Case], Mapping[str, list[Problem]]]:
    """The cases in and below the paths; and what is wrong with the others, by their names. ClickException for a path
    without cases."""
    from rivta.testing.case_files import read_case
    from rivta.testing.cases import find_cases

    problems: list[Problem] = []
    found = find_cases(paths, problems)
    if problems:
        raise click.ClickException(_line(problems[0]))
    cases: list[Case] = []
    broken: dict[str, list[Problem]] = {}
    with progress_bar("reading") as progress:
        for number, one in enumerate(found, 1):
            wrong: list[Problem] = []
            case = read_case(one, wrong, contracts=contracts)
            if case is None:
                broken[one.name] = wrong
            else:
                cases.append(case)
            progress(number, len(found))
    return cases, broken


def _run(bench: Bench, jobs: list[Job], unread: list[Result], pace: Pace, stage: Stage | None) -> Run:
    """The whole run, from looking everything through to its end or Ctrl-C."""
    import asyncio
    import time

    from rivta.testing.pacing import MOST_MESSAGES
    from rivta.testing.results import Run

    with progress_bar("checking") as progress:
        good, refused = bench.look_through(jobs, progress=progress)
    refused = [*unread, *refused]
    for one in refused:
        for line in one.message.splitlines():
            click.echo(f"rivta: {_harmless(line)}", err=True)
    planned = len(good) * pace.repeat
    if planned > MOST_MESSAGES:
        raise click.UsageError(f"that would be {planned:,} messages; {MOST_MESSAGES:,} is the most")
    results: list[Result] = []
    started, began = datetime.now(UTC), time.perf_counter()
    was_stopped = False
    if good:
        with progress_bar("sending") as progress:

            def take(result: Result) -> None:
                results.append(result)
                progress(len(results), planned)

            was_stopped = not asyncio.run(_sent(bench, good, pace, take, stage))
    return Run(
        started=started.isoformat(),
        seconds=time.perf_counter() - began,
        target=", ".join(bench.targets.urls.values()),
        results=(*refused, *results),
        planned=planned + len(refused),
        was_stopped=was_stopped,
    )


async def _sent(bench: Bench, jobs: list[Job], pace: Pace, take: Callable[[Result], None], stage: Stage | None) -> bool:
    """False when Ctrl-C ended it."""
    import asyncio
    import signal

    from rivta.testing.replay import Replay
    from rivta.testing.sending import HttpsSending

    async with HttpsSending(bench.targets) as sending:
        replay = Replay(bench, sending, pace, on_result=take, stage=stage)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, replay.stop)
        try:
            return await replay.run(jobs)
        finally:
            loop.remove_signal_handler(signal.SIGINT)


def _with_producers(home: Home, run: Run) -> Run:
    """The run with what each message touched, as far as the pair's call logs tell within two seconds."""
    import dataclasses
    import time

    from rivta.cli.admin import AdminClient
    from rivta.testing.touched import touched

    wanted = {one.correlation_id for one in run.results if one.status is not None}
    endpoints = home.endpoints()
    names = {one["url"].rstrip("/"): one["name"] for one in endpoints["producers"]}
    platforms = {one["https"].rstrip("/"): name for name, one in endpoints["platforms"].items()}
    deadline = time.monotonic() + _LOG_SECONDS
    producers: dict[str, str] = {}
    logged: dict[str, dict[str, list[Any]]] = {}
    while True:
        logged.clear()
        for name in endpoints["platforms"]:
            try:
                params: Mapping[str, Any] = {"since": run.started, "limit": _MOST_LOOKED_UP}
                answer = AdminClient.of_platform(home, name).get("/calls", params)
            except click.ClickException:
                return run
            for record in answer["calls"]:
                logged.setdefault(record["correlation_id"], {}).setdefault(name, []).append(record)
                url = (record["producer_url"] or "").rstrip("/")
                if url and url not in platforms:
                    producers[record["correlation_id"]] = names.get(url, url)
        if all(_is_whole(logged.get(id or "", {}), platforms) for id in wanted) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    received = _received(home) if len(run.results) <= _MOST_TOUCHED else None
    results = []
    for one in run.results:
        id = one.correlation_id or ""
        records = logged.get(id, {})
        found = touched(records, received, set(names)) if received is not None and records else None
        results.append(dataclasses.replace(one, producer=producers.get(id), touched=found))
    return dataclasses.replace(run, results=tuple(results))


def _is_whole(records: Mapping[str, list[Any]], platforms: Mapping[str, str]) -> bool:
    """Whether a call is logged by every platform that it came to, as far as the others say."""
    urls = {(one["producer_url"] or "").rstrip("/") for some in records.values() for one in some}
    return bool(records) and all(name in records for url, name in platforms.items() if url in urls)


def _received(home: Home) -> list[Any]:
    """What the stub producers were sent; nothing where there are none."""
    from rivta.cli.admin import AdminClient

    try:
        return list(AdminClient.of_stubs(home).get("/received")["calls"])
    except click.ClickException:
        return []


def _write(run: Run, junit: Path | None, html: Path | None) -> None:
    from rivta.files import write_file
    from rivta.testing.reports.html import html_page
    from rivta.testing.reports.junit import junit_xml

    try:
        if junit is not None:
            write_file(junit, junit_xml(run))
        if html is not None:
            write_file(html, html_page(run).encode())
    except OSError as error:
        raise click.ClickException(f"{error.filename}: the report cannot be written: {error.strerror}") from error


def _line(problem: Problem) -> str:
    return str(problem).replace(":0:", ":", 1) if problem.line == 0 else str(problem)


def _harmless(text: str) -> str:
    from rivta.cli.terminal import harmless

    return harmless(text)
