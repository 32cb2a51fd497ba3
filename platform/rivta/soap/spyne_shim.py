"""spyne 2.14.0 on every Python we run on: import its names from here, never from spyne itself.

spyne carries an old copy of six whose import hook Python 3.12 no longer accepts, and which warns at every import on
3.11. What spyne imports through that hook are renamed modules of the standard library: they are put where it looks, and
the hook goes. spyne also imports `cgi`, gone from 3.13: the package legacy-cgi brings it back.
"""

import collections.abc
import http.cookies
import logging
import sys
import urllib.parse
import warnings

sys.modules.update(
    {
        "spyne.util.six.moves.collections_abc": collections.abc,
        "spyne.util.six.moves.http_cookies": http.cookies,
        "spyne.util.six.moves.urllib": urllib,
        "spyne.util.six.moves.urllib.parse": urllib.parse,
    }
)

# spyne logs whole messages and the details of faults, so what patients' data passes through must not log by it.
logging.getLogger("spyne").setLevel(logging.CRITICAL + 1)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # `cgi` is deprecated, and some of spyne's literals have invalid escapes
    from spyne import Application, Fault, Service, Unicode, rpc
    from spyne.model import AnyXml
    from spyne.protocol.soap import Soap11
    from spyne.server.wsgi import WsgiApplication

sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "spyne.util.six"]

__all__ = ["AnyXml", "Application", "Fault", "Service", "Soap11", "Unicode", "WsgiApplication", "rpc"]
