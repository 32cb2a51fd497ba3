"""The contracts in force, for processes that run on while contracts are installed: looks at a marker and swaps once."""

import threading
from pathlib import Path

from rivta import shipped
from rivta.contracts.domain import Contract, ContractFileError
from rivta.contracts.installed import MARKER, RELEASES, Contracts
from rivta.contracts.validation import Validators

_MOST_CHECKS_PASSED_BY = 240


class CurrentContracts:
    """The contracts that come with the program and those of a folder, as they are now.

    Take `in_force` once per call and use it throughout: the contracts and the validators that belong to them.
    """

    def __init__(self, installed: Path | None) -> None:
        """Reads everything for the first time. Raises ContractFileError: nothing starts with less than it should."""
        self._installed = installed
        self._shipped = Contracts.load(shipped.folder("contracts") / "xsd")
        self._seen = self._marker()
        self._passing_by = self._failures = 0
        self._checking = threading.Lock()
        contracts = self._read()
        self.in_force = (contracts, Validators(contracts))
        self.problem: str | None = None
        """Why what was installed last is not in force; None when it is."""

    @property
    def contracts(self) -> Contracts:
        """The contracts in force."""
        return self.in_force[0]

    @property
    def validators(self) -> Validators:
        """Their validators. Schemas that have not changed stay compiled when others are installed."""
        return self.in_force[1]

    def has_changed(self) -> bool:
        """Whether something was installed or removed that `check` has not looked at. Costs one `stat`."""
        return self._marker() != self._seen

    def check(self) -> bool:
        """True when other contracts were put in force. Costs one `stat` when nothing was installed.

        A change is read and compiled here, which takes some milliseconds a contract: where that is too long, call it in
        a thread; of several callers at once all but one wait. When the folder is broken, what is in force stays,
        `problem` says why, and it is tried again, less and less often.
        """
        with self._checking:
            return self._check()

    def _check(self) -> bool:
        seen = self._marker()
        if seen == self._seen and self.problem is None:
            return False
        if seen == self._seen and self._passing_by > 0:
            self._passing_by -= 1
            return False
        try:
            contracts = self._read()
            validators = self.validators.with_contracts(contracts, forgetting=self._may_have_changed)
            for contract in contracts:
                if self._is_installed(contract):
                    validators.compile(contract)
        except ContractFileError as error:
            self._failures += 1
            self._passing_by = min(2**self._failures, _MOST_CHECKS_PASSED_BY)
            self._seen, self.problem = seen, str(error)
            return False
        self.in_force = (contracts, validators)
        self._seen, self.problem, self._failures = seen, None, 0  # last: who sees no change finds them in force
        return True

    def _marker(self) -> tuple[int, int, int] | None:
        if self._installed is None:
            return None
        try:
            status = (self._installed / MARKER).stat()
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    def _read(self) -> Contracts:
        return self._shipped if self._installed is None else self._shipped.with_folder(self._installed)

    def _is_installed(self, contract: Contract) -> bool:
        return self._installed is not None and contract.folder.is_relative_to(self._installed)

    def _may_have_changed(self, schema: Path) -> bool:
        """Only what somebody put there by hand is ever written to: releases get other names."""
        return (
            self._installed is not None
            and schema.is_relative_to(self._installed.resolve())
            and not schema.is_relative_to((self._installed / RELEASES).resolve())
        )
