"""spyne on every Python that is installed here."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support import CHECKOUT

# A whole call where the interpreter has lxml, else everything that spyne imports, with stand-ins for what is not built
# for this interpreter (lxml is compiled, legacy-cgi is only installed for 3.13). Prints which it was.
_PROGRAM = """
import sys, types
from unittest.mock import MagicMock

def stand_in(*names):
    sys.modules.update({name: MagicMock(__name__=name, __path__=[]) for name in names})

try:
    import lxml.etree
    whole = True
except ImportError:
    stand_in("lxml", "lxml.etree", "lxml.builder", "lxml.html", "lxml.html.builder")
    whole = False
if sys.version_info >= (3, 13):
    try:
        import cgi
    except ImportError:
        stand_in("cgi")
import rivta.soap.spyne_shim as shim
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("spyne")]
assert all(getattr(shim, name) is not None for name in shim.__all__)
if whole:
    from lxml import etree
    from rivta.soap.spyne_adapter import dispatcher, soap_application
    from rivta.soap.wsgi import HttpRequest, call
    ask = types.SimpleNamespace(name="Ask", request="{urn:a}Ask", response="{urn:a}Answer")
    contract = types.SimpleNamespace(namespace="urn:a", operations=[ask])
    application = dispatcher([soap_application(contract, lambda _: etree.Element("{urn:a}Answer"), address_required=False)])
    body = b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><Ask xmlns="urn:a"/></e:Body></e:Envelope>'
    answer = call(application, HttpRequest("POST", "/", body=body))
    assert (answer.status, b"Answer" in answer.body) == (200, True), answer.body
print("whole" if whole else "imports")
"""


def interpreter(version: str) -> str:
    """The Python of that version, on PATH or among pyenv's; skips where there is none that runs."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(versions.glob(f"{version}.*/bin/python")))]
    for candidate in candidates:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    pytest.skip(f"python{version} is not installed here")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_spyne_is_imported_without_a_warning(version: str) -> None:
    running = version == f"{sys.version_info.major}.{sys.version_info.minor}"
    python = sys.executable if running else interpreter(version)
    paths = [str(CHECKOUT / "platform"), *filter(None, [os.environ.get("PYTHONPATH")]), sysconfig.get_path("purelib")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}

    done = subprocess.run(
        [python, "-W", "error", "-c", _PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in (("whole",) if running else ("whole", "imports"))
