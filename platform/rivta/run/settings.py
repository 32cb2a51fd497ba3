"""The settings of one platform: one TOML file, read and checked once when a process starts.

Every key carries its description, unit and, where there is one, the property of the incumbent router (VP) that it
corresponds to; `keys()` lists them, and the manual, the console and `rivta config` are made from that list.
"""

import dataclasses
import difflib
import ipaddress
import tomllib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from rivta.router.deviations import DEVIATIONS, Compat, Insecure
from rivta.run.toml import toml_value

Policy = Literal["reject", "report", "off"]
"""What to do with a message that breaks its contract: refuse it, pass it on and report it, or not look."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a settings file."""

    key: str
    """Its path, as `validation.request`."""
    value: str
    """As it stands in the file; empty when a mandatory key is missing or the value may be a secret."""
    expected: str


class SettingsError(ValueError):
    """A settings file that cannot be used, with everything that is wrong in it."""

    def __init__(self, file: Path, problems: tuple[Problem, ...]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("\n".join(f"{file}: {_worded(problem)}" for problem in problems))


def _worded(problem: Problem) -> str:
    where = f"{problem.key}: " if problem.key else ""
    found = f"found {problem.value}, " if problem.value else ""
    return f"{where}{found}{problem.expected}"


def _in_folder_of_the_file(path: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path.cwd())
    return folder / path.expanduser()


def _an_address(text: str) -> str:
    host, separator, port = text.rpartition(":")
    if not (separator and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError('an address and a port, as "127.0.0.1:20010"')
    return text


def _of_this_machine(address: str) -> str:
    host = address.rpartition(":")[0].strip("[]")
    if host != "localhost" and not (_is_ip(host) and ipaddress.ip_address(host).is_loopback):
        raise ValueError('an address of this machine only, as "127.0.0.1:20012": the admin API speaks plain http')
    return address


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


FilePath = Annotated[Path, AfterValidator(_in_folder_of_the_file)]
"""Relative to the folder of the settings file."""
Address = Annotated[str, AfterValidator(_an_address)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,18}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, pattern=r"^\S+$")]
Seconds = Annotated[float, Field(gt=0, strict=True)]
Count = Annotated[int, Field(gt=0, strict=True)]
Switch = Annotated[bool, Field(strict=True)]


def _key(
    description: str, default: Any = ..., *, unit: str = "", vp: str = "", factory: type[Any] | None = None
) -> Any:
    """A key of the settings; `vp` names the incumbent's property of the same meaning."""
    extra: JsonDict = {"unit": unit, "vp": vp}
    if factory is not None:
        return Field(default_factory=factory, description=description, json_schema_extra=extra)
    return Field(default, description=description, json_schema_extra=extra)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Platform(_Section):
    """Who this platform is."""

    hsa_id: Identifier = _key("HSA-id of the platform: the sender that other platforms see.", vp="vp.instance.id")
    name: Annotated[str, StringConstraints(min_length=1)] = _key(
        "Name on the wire, shown in every fault.", vp="vp.instance.name"
    )
    title: str = _key("Name for people.", "")
    short_name: Word = _key("Name of its processes, logs and sockets, at most 19 characters.", "platform")
    workers: Count = _key("Worker processes that share the listeners.", 1, unit="processes")
    state: FilePath = _key("Folder for the database, compiled tables, spools, metrics and ECS log.", Path())


class Listen(_Section):
    """Where the platform can be reached."""

    https: Address = _key("Address and port of the mutual-TLS listener.", vp="vp.https.route.url")
    url: str | None = _key(
        "Where consumers reach the platform, as https://host:port/vp; left out: made of the address of `https`.", None
    )
    admin: Annotated[Address, AfterValidator(_of_this_machine)] = _key(
        "Address and port of the admin API, on this machine.", "127.0.0.1:20012", vp="vp.status.url"
    )
    admin_token: FilePath = _key("File with the first token of the admin API.", Path("admin.token"))


class Tls(_Section):
    """Certificates: the platform's own, and whom it trusts."""

    certificate: FilePath = _key(
        "PEM file with the platform's certificate and its chain, for both directions.",
        vp="spring.ssl.bundle.pem.<name>.keystore.certificate",
    )
    key: FilePath = _key("PEM file with the private key.", vp="spring.ssl.bundle.pem.<name>.keystore.private-key")
    trusted: tuple[FilePath, ...] = _key(
        "PEM files with the certificate authorities that are trusted, for both directions.",
        vp="spring.ssl.bundle.pem.<name>.truststore.certificate",
    )
    crl: tuple[FilePath, ...] = _key(
        "Files with revocation lists, PEM or DER, one for each file of `trusted` in the same order; read again when "
        "they change. Empty: nothing is known to be revoked.",
        (),
    )

    @model_validator(mode="after")
    def _one_list_for_each_authority(self) -> Self:
        if self.crl and len(self.crl) != len(self.trusted):
            raise ValueError(f"as many files in crl as in trusted ({len(self.trusted)}), or none")
        return self


class Tables(_Section):
    """The routing tables and the HSA tree."""

    draft: FilePath | None = _key("Folder of the draft: routing tables as YAML.", None)
    hsa: FilePath | None = _key("Folder of the HSA tree: YAML, or the official cache as XML.", None, vp="hsa.files")
    autopublish: Switch = _key("Every valid save of a file becomes a publication by itself.", False)


class ContractValidation(_Section):
    """Validation of one contract, where it differs."""

    request: Policy | None = _key("Policy for its requests; left out: as for the platform.", None)
    response: Policy | None = _key("Policy for its answers; left out: as for the platform.", None)


class Validation(_Section):
    """Messages are checked against the schemas of their contracts."""

    request: Policy = _key("Policy for requests: reject, report or off.", "reject")
    response: Policy = _key("Policy for answers: reject, report or off.", "report")
    unknown_contract: Literal["route", "reject"] = _key("What becomes of a contract without a schema here.", "route")
    max_bytes: Count = _key("Bodies over this are large.", 2 * 1024 * 1024, unit="bytes")
    large: Literal["thread", "off"] = _key("Large bodies are validated in a thread, or pass unchecked.", "thread")
    contracts: dict[Identifier, ContractValidation] = _key(
        "Other policies for some contracts, by contract namespace.", factory=dict
    )


class Limits(_Section):
    """How much the platform takes on."""

    max_body_bytes: Count = _key(
        "Longest message, in either direction.", 50 * 1024 * 1024, unit="bytes", vp="vp.max.receive.length"
    )
    header_seconds: Seconds = _key("Time for a consumer to send its request head.", 10.0, unit="seconds")
    in_flight_per_producer: Count = _key("Calls under way to one producer address.", 64, unit="calls")
    in_flight_per_platform: Count = _key(
        "Calls under way to one address of a component marked `platform: true`.", 1000, unit="calls"
    )


class Timeouts(_Section):
    """How long a producer may take."""

    producer_seconds: Seconds = _key("Time for a producer to answer.", 29.0, unit="seconds", vp="timeout.json.file")
    connect_seconds: Seconds = _key(
        "Time to connect to a producer.", 2.0, unit="seconds", vp="producer.https.connect.timeout"
    )
    contracts: dict[Identifier, Seconds] = _key(
        "Other times to answer for some contracts, by contract namespace.",
        unit="seconds",
        vp="timeout.json.file",
        factory=dict,
    )


class Retry(_Section):
    """A call is tried again only when no byte of the request had been sent."""

    attempts: Annotated[int, Field(ge=0, le=10, strict=True)] = _key("Extra tries.", 1, vp="vp.producer.retry.attempts")
    delay_seconds: Annotated[float, Field(ge=0, strict=True)] = _key(
        "Wait before each.", 2.0, unit="seconds", vp="vp.producer.retry.delay"
    )


class CallLog(_Section):
    """The record of every call."""

    mode: Literal["asynchronous", "durable"] = _key(
        "asynchronous: written every 100 ms; durable: on disk before the answer leaves.", "asynchronous"
    )
    capacity: Count = _key("Records that wait to be written; beyond it, calls are counted but not recorded.", 20_000)
    segment_bytes: Count = _key("Length at which a worker begins a new spool segment.", 8 * 1024 * 1024, unit="bytes")
    retention_days: Count = _key("Age at which records are deleted.", 90, unit="days")


class OriginalConsumer(_Section):
    """Who may say on whose behalf it calls (x-rivta-original-serviceconsumer-hsaid)."""

    allowed: tuple[Identifier, ...] = _key(
        "HSA-ids of the senders that may name another than themselves: other platforms. (The incumbent: empty is all.)",
        (),
        vp="sender.id.allowed.list",
    )


class Correlation(_Section):
    """The correlation id (x-skltp-correlation-id)."""

    to_https: Switch = _key(
        "Pass it to every https producer; otherwise only to components marked `platform: true`.",
        False,
        vp="propagate.correlation.id.for.https",
    )


class Headers(_Section):
    """HTTP headers towards producers."""

    user_agent: str = _key("User-Agent.", "rivta", vp="vp.header.user.agent")
    content_type: str = _key("Content-Type.", "text/xml;charset=UTF-8", vp="vp.header.content.type")


class Database(_Section):
    """Where the keeper keeps publications and the call log."""

    url: str | None = _key(
        "SQLAlchemy URL, as postgresql+psycopg://user@host/rivta; left out: rivta.sqlite in the state folder.", None
    )


class Contracts(_Section):
    """Contract schemas."""

    installed: FilePath | None = _key("Folder of contracts installed beside those that are shipped.", None)


def _switches(section: str, switches: type[Any]) -> type[_Section]:
    """The section of the switches that `rivta.router.deviations` defines, each described by the deviations it ends."""

    def described(name: str) -> str:
        ended = [one for one in DEVIATIONS if one.switch == f"{section}.{name}"]
        return " ".join(f"{one.about}: {one.incumbent}." for one in ended)

    keys = {one.name: (Switch, _key(described(one.name), False)) for one in dataclasses.fields(switches)}
    return create_model(section.capitalize(), __base__=_Section, **keys)  # type: ignore[call-overload, no-any-return]


if TYPE_CHECKING:

    class _Compat(_Section): ...

    class _Insecure(_Section): ...

else:
    _Compat = _switches("compat", Compat)
    _Insecure = _switches("insecure", Insecure)


class Settings(_Section):
    """Everything about one platform."""

    platform: Platform = _key("Who this platform is.")
    listen: Listen = _key("Where it can be reached.")
    tls: Tls = _key("Its certificates and whom it trusts.")
    tables: Tables = _key("Routing tables and HSA tree.", factory=Tables)
    variables: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")], str] = _key(
        "Values for ${name} in the URLs of the tables.", factory=dict
    )
    validation: Validation = _key("Checking messages against their contracts.", factory=Validation)
    limits: Limits = _key("How much it takes on.", factory=Limits)
    timeouts: Timeouts = _key("How long a producer may take.", factory=Timeouts)
    retry: Retry = _key("Calls that are tried again.", factory=Retry)
    call_log: CallLog = _key("The record of every call.", factory=CallLog)
    original_consumer: OriginalConsumer = _key("Who may set the original consumer.", factory=OriginalConsumer)
    correlation: Correlation = _key("The correlation id.", factory=Correlation)
    headers: Headers = _key("HTTP headers towards producers.", factory=Headers)
    database: Database = _key("The keeper's database.", factory=Database)
    contracts: Contracts = _key("Contract schemas.", factory=Contracts)
    compat: _Compat = _key("The incumbent's ways on the wire, one by one.", factory=_Compat)
    insecure: _Insecure = _key("Weakened security, each by its own name.", factory=_Insecure)

    @field_validator("compat", mode="before")
    @classmethod
    def _all_of_the_incumbent(cls, given: Any) -> Any:
        """`compat = "vp"` is every switch."""
        return dataclasses.asdict(Compat.vp()) if given == "vp" else given

    @classmethod
    def load(cls, file: Path) -> Self:
        """The settings in `file`; relative paths in it are taken from its folder. Raises SettingsError."""
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(file, (Problem("", "", f"cannot be read: {error.strerror}"),)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(file, (Problem("", "", f"is not TOML: {error}"),)) from error
        return cls.parse(content, file)

    @classmethod
    def parse(cls, content: dict[str, Any], file: Path) -> Self:
        """The settings in `content`, as if it had been read from `file`. Raises SettingsError."""
        try:
            return cls.model_validate(content, context={"folder": file.resolve().parent})
        except ValidationError as error:
            raise SettingsError(file, tuple(_problem(detail) for detail in error.errors(include_url=False))) from error

    @property
    def compat_switches(self) -> Compat:
        """The section `compat` as the router reads it."""
        return Compat(**self.compat.model_dump())

    @property
    def insecure_switches(self) -> Insecure:
        """The section `insecure` as the router reads it."""
        return Insecure(**self.insecure.model_dump())

    @property
    def url(self) -> str:
        """Where consumers reach the platform."""
        return self.listen.url or f"https://{self.listen.https}/vp"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the keeper's database."""
        return self.database.url or f"sqlite:///{self.platform.state / 'rivta.sqlite'}"


@dataclass(frozen=True, slots=True)
class Key:
    """What there is to know about one key of the settings file."""

    path: str
    """As `validation.request`; `<name>` stands for a name that the operator chooses."""
    description: str
    unit: str
    default: str
    """As it would be written in TOML; empty when the key may be left out and has no value, `-` when it is mandatory."""
    vp: str
    """The incumbent's property of the same meaning, or empty."""


def keys() -> Iterator[Key]:
    """Every key, in the order of the file."""
    return _keys_of(Settings, "")


def _keys_of(section: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        path = f"{prefix}{name}"
        nested = _section_in(field.annotation)
        if nested is None:
            yield _documented(path, field)
        else:
            yield from _keys_of(nested, f"{path}." if nested is field.annotation else f"{path}.<name>.")


def _documented(path: str, field: FieldInfo) -> Key:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return Key(
        path=path,
        description=field.description or "",
        unit=str(extra.get("unit", "")),
        default=_default_text(field),
        vp=str(extra.get("vp", "")),
    )


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "-"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is PydanticUndefined:
        return ""
    return toml_value(default)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation is, or that it maps names to."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation) if typing.get_origin(annotation) is dict else ():
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return argument
    return None


def _problem(detail: ErrorDetails) -> Problem:
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        return Problem(key, "", _unknown_key(location))
    if detail["type"] == "missing":
        return Problem(key, "", "missing: it is mandatory")
    value = "" if key.startswith("database.") else toml_value(detail["input"])
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return Problem(key, value, f"expected {message.replace('String should match pattern', 'text that matches')}")


def _unknown_key(location: list[str]) -> str:
    known = _names_at(location[:-1])
    close = difflib.get_close_matches(location[-1], known, n=1)
    if close:
        return f"unknown key: did you mean {close[0]}?"
    return f"unknown key: known here are {', '.join(known)}" if known else "unknown key: none is known here"


def _names_at(location: list[str]) -> list[str]:
    section: type[BaseModel] = Settings
    for part in location:
        field = section.model_fields.get(part)
        nested = _section_in(field.annotation) if field else None
        section = nested or section
    return list(section.model_fields)
