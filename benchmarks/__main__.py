"""`python -m benchmarks [--quick] [--json]`: what `rivta bench` runs."""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import proxy, report
from benchmarks.measure import FULL, QUICK, run
from benchmarks.pair import PairError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of five; the numbers are rougher")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if proxy.program() is None:
        say(f"nginx is not installed, so there will be no ratios: {proxy.INSTALL}")
    # Not under the user's own TMPDIR, which may be long: the name of a Unix socket has 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="rv-bench-", dir="/tmp"))
    try:
        result = run(QUICK if arguments.quick else FULL, folder, say)
    except (PairError, RuntimeError, OSError) as error:
        say(str(error))
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report.as_json(result, quick=arguments.quick)) if arguments.json else report.as_text(result))
    return 0


def say(text: str) -> None:
    """Progress goes to the error stream, so that what is printed can be read by a program."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
