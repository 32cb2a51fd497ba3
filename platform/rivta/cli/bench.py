"""`rivta bench`: our own numbers, side by side with a plain proxy."""

import click


@click.command(epilog="Example: rivta bench --quick --json")
@click.option("--quick", is_flag=True, help="A minute instead of some: rougher numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print ratios and rows as JSON.")
@click.pass_context
def command(context: click.Context, quick: bool, as_json: bool) -> None:
    """Measure processor time and latency of calls through one platform and through both.

    nginx, where it is installed, is measured beside them as a plain mutual-TLS proxy, and the ratios are against it.
    The program of the benchmark is in the source tree only.
    """
    import os
    import subprocess
    import sys
    from pathlib import Path

    import rivta

    checkout = Path(rivta.__file__).resolve().parents[2]
    if not (checkout / "benchmarks" / "__main__.py").is_file():
        raise click.ClickException(
            f"the benchmark is not part of an installed rivta ({checkout}): clone the source and run `make bench` there"
        )
    path = os.pathsep.join([str(checkout / "platform"), str(checkout)])
    options = [option for option, given in (("--quick", quick), ("--json", as_json)) if given]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    context.exit(min(done.returncode, 1) if done.returncode >= 0 else 1)
