"""spyne 2.14.0 on every Python we run on: import its names from here, never from spyne itself.

spyne carries a copy of six whose import hook Python 3.12 no longer accepts, and which warns at every import on 3.11:
the modules of the package six stand in for what the hook would find, and the hook goes. spyne also imports `cgi`, gone
from 3.13: the package legacy-cgi brings it back.
"""

import logging
import sys
import warnings

import six.moves
import six.moves.collections_abc
import six.moves.http_cookies
import six.moves.urllib.parse

sys.modules.update(
    {
        "spyne.util.six.moves": six.moves,
        "spyne.util.six.moves.collections_abc": six.moves.collections_abc,
        "spyne.util.six.moves.http_cookies": six.moves.http_cookies,
        "spyne.util.six.moves.urllib": six.moves.urllib,
        "spyne.util.six.moves.urllib.parse": six.moves.urllib.parse,
    }
)

# spyne logs whole messages and the details of faults, so what patients' data passes through must not log by it.
logging.getLogger("spyne").setLevel(logging.CRITICAL + 1)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # `cgi` is deprecated, and some of spyne's literals have invalid escapes
    from spyne import Application, Fault, Service, Unicode, rpc  # type: ignore[import-untyped]
    from spyne.model import AnyXml  # type: ignore[import-untyped]
    from spyne.protocol.soap import Soap11  # type: ignore[import-untyped]
    from spyne.server.wsgi import WsgiApplication  # type: ignore[import-untyped]

sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "spyne.util.six"]

__all__ = ["AnyXml", "Application", "Fault", "Service", "Soap11", "Unicode", "WsgiApplication", "rpc"]
