"""The plugin costs those who do not use it nothing."""

import subprocess
import sys


def test_it_imports_nothing_of_ours_until_it_is_used() -> None:
    code = (
        "import sys, rivta.testing.pytest_plugin\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in ('rivta', 'lxml', 'yaml', 'aiohttp', 'requests')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["rivta", "rivta.testing", "rivta.testing.pytest_plugin"]


def test_a_run_with_it_and_without_its_fixtures_starts_nothing(tmp_path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import sys\ndef test_mine():\n    assert 'rivta.testing.pair' not in sys.modules\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "rivta.testing.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
    ]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
