"""A national platform of the tests' own: before the pair's regional platform and before the one that stands alone.

Its table has an address for each fault that its configuration can provoke, and short times.
"""

from pathlib import Path

from rivta.run.toml import to_toml
from tests.pair.consumer import JOURNAL, KS, NATIONAL, NPO, Identity
from tests.pair.standalone import Standalone, free_port
from tests.support import Pair

PROXY = "SE1-PROXY"
"""Whose certificate a proxy in front would have."""
NAME = "NTJP <Å&Ö>"
"""As it must not break a fault."""
SECONDS = 2.0
"""Longer than the platform that stands alone waits for a producer, shorter than the pair's do."""
SLOW, FAULT, EMPTY, CLOSE = (f"SE2321000016-{word}" for word in ("SLOW", "FAULT", "EMPTY", "CLOSE"))
DOWN, LOCKED, LOOP = "SE1-DOWN", "SE1-LOCKED", "SE1-LOOP"
BY_ALONE, BY_REGION = "SE2321000016-INVALID", "SE1-NOT-THERE"
"""Routed to the platform that stands alone, and to the region's, which has no row for it."""


def write_outer(pair: Pair, alone: Standalone, home: Path) -> Standalone:
    """Settings and tables, ready to be served."""
    home.mkdir(mode=0o700)
    own = Identity.issued(pair, "outer", "--hsa-id", NATIONAL)
    https, http, admin = free_port(), free_port(), free_port()
    url = f"https://localhost:{https}/vp"
    urls = {producer["name"]: producer["url"] for producer in pair.endpoints["producers"]}
    config = home / "platform.toml"
    config.write_text(
        to_toml(
            {
                "platform": {"hsa_id": NATIONAL, "name": NAME, "short_name": "outer"},
                "listen": {
                    "https": f"127.0.0.1:{https}",
                    "http": f"127.0.0.1:{http}",
                    "url": url,
                    "admin": f"127.0.0.1:{admin}",
                },
                "proxies": {PROXY: {}},
                "insecure": {"trusted_headers": True},
                "tls": {"certificate": own.cert, "key": own.key, "trusted": [own.ca], "crl": [pair.endpoints["crl"]]},
                "tables": {"draft": home / "routing"},
                "variables": {
                    "ks": urls["takecare-ks"],
                    "provoke": urls["provoke"],
                    "alone": alone.url,
                    "regional": pair.endpoints["platforms"]["regional"]["https"],
                },
                "timeouts": {"producer_seconds": SECONDS},
                "retry": {"attempts": 0},
            }
        )
    )
    _write_tables(home / "routing")
    endpoints = {
        "platforms": {
            "outer": {"https": url, "http": f"http://localhost:{http}/vp", "admin": f"http://127.0.0.1:{admin}"}
        },
        "identities": pair.endpoints["identities"],
        "ca": own.ca,
    }
    return Standalone(home=home, config=config, url=url, pair=Pair(home=home, endpoints=endpoints))


def _write_tables(folder: Path) -> None:
    folder.mkdir()
    (folder / "tables.yaml").write_text(f"""\
resolution: {{}}
components:
  {NPO}: {{name: "Consumer"}}
  {JOURNAL}: {{name: "Consumer without permissions"}}
  SE2321000016-TC-KS: {{name: "TakeCare"}}
  SE2321000016-PROVOKE: {{name: "Misbehaves"}}
  SE165565594230-ALONE: {{name: "The platform that stands alone", platform: true}}
  SE2321000016-RTP: {{name: "The region's platform", platform: true}}
producer_addresses:
  ks: {{component: SE2321000016-TC-KS, url: "${{ks}}", profile: RIVTABP21}}
  provoke: {{component: SE2321000016-PROVOKE, url: "${{provoke}}", profile: RIVTABP21}}
  down: {{component: SE2321000016-PROVOKE, url: "https://127.0.0.1:1/", profile: RIVTABP21}}
  alone: {{component: SE165565594230-ALONE, url: "${{alone}}", profile: RIVTABP21}}
  regional: {{component: SE2321000016-RTP, url: "${{regional}}", profile: RIVTABP21}}
routes:
  - {{logical_address: [{KS}, {LOCKED}], contracts: GetDiagnosis:2, producer_address: ks}}
  - {{logical_address: [{FAULT}, {EMPTY}, {CLOSE}], contracts: GetDiagnosis:2, producer_address: provoke}}
  - {{logical_address: {DOWN}, contracts: GetDiagnosis:2, producer_address: down}}
  - {{logical_address: {BY_ALONE}, contracts: GetDiagnosis:2, producer_address: alone}}
  - {{logical_address: [{SLOW}, {LOOP}, {BY_REGION}], contracts: GetDiagnosis:2, producer_address: regional}}
permissions:
  - consumer: {NPO}
    logical_address: [{KS}, {FAULT}, {EMPTY}, {CLOSE}, {DOWN}, {BY_ALONE}, {SLOW}, {LOOP}, {BY_REGION}]
    contracts: GetDiagnosis:2
    agreement: "Test"
""")
