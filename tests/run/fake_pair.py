"""A supervisor's process with fake roles: what `rivta up` runs, without platforms. Arguments: home, behaviours..."""

import asyncio
import os
import sys
from pathlib import Path

from rivta.run import pair, ports
from rivta.run.assembly import Assembly
from rivta.run.home import resolve
from rivta.run.lock import lock_home
from rivta.run.output import supervisor_log
from rivta.run.roles import Role

FAKE_ROLE = Path(__file__).with_name("fake_role.py")


class Printer:
    def step(self, text: str) -> None:
        pass

    def ready(self, assembly: Assembly, warning: str | None) -> None:
        print("ready", flush=True)


async def prove() -> str | None:
    return None


def main(folder: str, behaviours: list[str]) -> None:
    home = resolve(folder, environment={})
    home.create()
    lock = lock_home(home)
    listener = ports.listen("127.0.0.1", 0, role="web")
    roles = tuple(
        Role(
            name=f"worker-{number}",
            command=(str(FAKE_ROLE), behaviour, str(home.folder / "notes")),
            listeners=(("https", "web"),),
        )
        for number, behaviour in enumerate(behaviours)
    )
    platform = {"id": "SE1", "name": "X", "https": "", "http": None, "tak": None}
    platform["admin"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assembly = Assembly(
        roles=roles,
        listeners={"web": listener},
        endpoints={"home": folder, "platforms": {"national": platform}, "stubs": None},  # type: ignore[typeddict-item]
    )
    with supervisor_log(home.log / "supervisor.log", on_terminal=False):
        asyncio.run(pair.run(home, assembly, lock=lock, environment=os.environ, prove=prove, report=Printer()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
