"""The incumbent's keystores, bundles and overrides as certificates and TLS targets of ours."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rivta.run.incumbent import keystores
from rivta.run.incumbent.keystores import NotReadable
from rivta.run.incumbent.properties import Property, same_name
from rivta.run.incumbent.result import Takeover, safe_name
from rivta.tls.contexts import TlsSetupError, check_offer

_OLD_PROTOCOLS = frozenset({"SSLv3", "TLSv1", "TLSv1.1"})


@dataclass(frozen=True, slots=True)
class _Bundle:
    """Certificates that the incumbent knows by a name, as paths for our settings."""

    certificate: str | None
    key: str | None
    trusted: str | None


def take_certificates(made: Takeover) -> None:
    """The platform's certificate, whom it trusts, and the other certificates towards producers."""
    inbound = _inbound(made)
    if inbound is not None:
        for key, value in (("certificate", inbound.certificate), ("key", inbound.key)):
            if value is not None:
                made.set(f"tls.{key}", value)
        made.set("tls.trusted", [inbound.trusted] if inbound.trusted else [])
    protocols = made.properties.texts("tp.tls.allowedIncomingProtocols")
    one = made.get("tp.tls.allowedIncomingProtocols")
    if one is None or _OLD_PROTOCOLS & set(protocols):
        made.insecure["old_tls"] = "TLS 1.0 and 1.1 were accepted"
    elif one is not None:
        made.left(one, "TLS 1.2 and 1.3 are accepted")
    _outbound(made, inbound)
    _overrides(made)


def _inbound(made: Takeover) -> _Bundle | None:
    named = made.get("tp.tls.store.consumer.bundle")
    if named is not None:
        made.taken(named, "tls.certificate")
        return _bundle(made, named, named.value)
    trusted = _store(made, "truststore", "tls.trusted", identity=False)
    return dataclasses.replace(_store(made, "producer", "tls.certificate", identity=True), trusted=trusted.trusted)


def _store(made: Takeover, name: str, key: str, *, identity: bool) -> _Bundle:
    """A keystore of `tp.tls.store`: the platform's identity, or whom it trusts."""
    one = made.get(f"tp.tls.store.{name}.file")
    if one is None:
        return _Bundle(None, None, None)
    store = made.path(made.properties.value("tp.tls.store.location") or ".") / made.path(one.value).name
    password = made.properties.value(f"tp.tls.store.{name}.password")
    try:
        found = _from_store(made, store, password, name, identity=identity)
    except NotReadable as error:
        made.left(one, str(error))
        return _Bundle(None, None, None)
    made.taken(one, key, f"written as PEM to tls/{name}.pem")
    return found


def _from_store(made: Takeover, store: Path, password: str, name: str, *, identity: bool) -> _Bundle:
    name = safe_name(name)
    if not identity:
        made.files[f"tls/{name}.pem"] = keystores.authorities_in_store(store, password)
        return _Bundle(None, None, f"tls/{name}.pem")
    found = keystores.identity_in_store(store, password)
    made.files |= {f"tls/{name}.pem": found.certificate, f"tls/{name}.key": found.key}
    return _Bundle(f"tls/{name}.pem", f"tls/{name}.key", None)


def _outbound(made: Takeover, inbound: _Bundle | None) -> None:
    """The incumbent's default towards producers, where it is another certificate than the one for consumers."""
    bundle = made.get("vp.tls.default-config.bundle")
    store = made.get("tp.tls.store.consumer.file")
    name = made.properties.value("vp.tls.default-config.name") or "default"
    if bundle is not None:
        found = _bundle(made, bundle, bundle.value)
    elif store is not None:
        if made.path(store.value).name == made.path(made.properties.value("tp.tls.store.producer.file")).name:
            made.taken(store, "tls.certificate")
            return
        found, bundle = _store(made, "consumer", "tls.targets", identity=True), store
    else:
        return
    if found == inbound or found == _Bundle(None, None, None):
        made.taken(bundle, "tls.certificate")
        made.taken(made.get("vp.tls.default-config.name"), "tls.certificate")
        return
    target = _target_name(made, name)
    made.tables[f"tls.targets.{target}"] = _target(found)
    remark = f"name it where it is to be shown: client_certificate: {target} at a producer address of the tables"
    made.forget(bundle)
    made.taken(bundle, f"tls.targets.{target}", remark)
    made.taken(made.get("vp.tls.default-config.name"), f"tls.targets.{target}")


def _overrides(made: Takeover) -> None:
    for number in sorted((n for n in made.properties.below("vp.tls.overrides") if n.isdigit()), key=int):
        prefix = f"vp.tls.overrides[{number}]"
        name, bundle = made.get(f"{prefix}.name"), made.get(f"{prefix}.bundle")
        domain, suffix, port = (made.get(f"{prefix}.match.{part}") for part in ("domain-name", "domain-suffix", "port"))
        if name is None or not name.value or not ((domain and domain.value) or (suffix and suffix.value)):
            why = "without a name, or without domain or suffix, it never matched in the incumbent either"
            for one in (name, bundle, domain, suffix, port):
                made.left(one, why)
            continue
        found = _bundle(made, bundle, bundle.value) if bundle is not None else _Bundle(None, None, None)
        target = _target_name(made, name.value)
        key = f"tls.targets.{target}"
        values = _target(found)
        matching: dict[str, Any] = {}
        for ours, one in (("domain", domain), ("domain_suffix", suffix)):
            if one is not None and one.value:
                matching[ours] = one.value
                is_text = one is suffix and not one.value.startswith(".")
                made.taken(one, f"{key}.{ours}", "in whole labels here, not as text" if is_text else "")
        number_of_port = made.number(port, 1)
        if number_of_port is not None:
            matching["port"] = number_of_port
            made.taken(port, f"{key}.port")
        made.tables[key] = {**matching, **values, **_narrowed(made, prefix, key)}
        made.taken(name, key)
        made.taken(bundle, f"{key}.certificate")


def _narrowed(made: Takeover, prefix: str, key: str) -> dict[str, list[str]]:
    """Protocols and ciphers of an override: those included, without those excluded, without what is not offered."""
    narrowed: dict[str, list[str]] = {}
    for theirs, ours in (("protocols", "protocols"), ("cipher-suites", "ciphers")):
        excluded = set(made.properties.texts(f"{prefix}.{theirs}-exclude"))
        included = [one for one in made.properties.texts(f"{prefix}.{theirs}-include") if one not in excluded]
        if ours == "protocols" and excluded and not included:
            included = [one for one in ("TLSv1.2", "TLSv1.3") if one not in excluded]
        safe = [one for one in included if _is_offered(one, is_protocol=ours == "protocols")]
        if safe:
            narrowed[ours] = safe
        for part in ("include", "exclude"):
            for one in _spelled(made, f"{prefix}.{theirs}-{part}"):
                if not safe:
                    made.left(one, "what is left of it is not offered here: see the targets in settings.md")
                    continue
                dropped = ", ".join(sorted(set(included) - set(safe)))
                made.taken(one, f"{key}.{ours}", f"without {dropped}" if dropped else "")
    return narrowed


def _is_offered(name: str, *, is_protocol: bool) -> bool:
    try:
        check_offer((name,) if is_protocol else (), () if is_protocol else (name,))
    except TlsSetupError:
        return False
    return True


def _spelled(made: Takeover, name: str) -> list[Property]:
    """A list property in either form: whole, or an entry a line."""
    return [one for one in made.properties if same_name(re.sub(r"\[\d+\]$", "", one.name), name)]


def _bundle(made: Takeover, asking: Property, name: str) -> _Bundle:
    """The SSL bundle with this name; what cannot be read of it is told, and empty."""
    pem, jks = f"spring.ssl.bundle.pem.{name}", f"spring.ssl.bundle.jks.{name}"
    prefix = (
        pem if any(made.get(f"{pem}.{part}") for part in ("keystore.certificate", "truststore.certificate")) else jks
    )
    if prefix == jks and not any(made.get(f"{jks}.{part}.location") for part in ("keystore", "truststore")):
        made.left(asking, f"there is no spring.ssl.bundle.pem.{name} or spring.ssl.bundle.jks.{name}")
        return _Bundle(None, None, None)
    return _pem_bundle(made, pem, name) if prefix == pem else _jks_bundle(made, jks, name)


def _pem_bundle(made: Takeover, prefix: str, name: str) -> _Bundle:
    file, password = safe_name(name), made.properties.value(f"{prefix}.keystore.private-key-password")

    def key(source: Path | bytes) -> bytes:
        return keystores.private_key(source, password)

    chain = keystores.certificates
    return _Bundle(
        _pem(made, f"{prefix}.keystore.certificate", f"{file}.pem", "tls.certificate", chain),
        _pem(made, f"{prefix}.keystore.private-key", f"{file}.key", "tls.key", key),
        _pem(made, f"{prefix}.truststore.certificate", f"{file}-ca.pem", "tls.trusted", chain),
    )


def _pem(made: Takeover, name: str, file: str, key: str, read: Callable[[Path | bytes], bytes]) -> str | None:
    """A PEM property as a path: the file it names, or one of ours when it holds the text, or needed a password."""
    one = made.get(name)
    if one is None:
        return None
    source = one.value.encode() if "-----BEGIN" in one.value else made.path(one.value)
    try:
        content = read(source)
        unchanged = isinstance(source, Path) and content == keystores.read(source)
    except NotReadable as error:
        made.left(one, str(error))
        return None
    if unchanged:
        made.taken(one, key)
        return str(Path(source).absolute()) if isinstance(source, Path) else None
    made.files[f"tls/{file}"] = content
    made.taken(one, key, f"written to tls/{file}")
    return f"tls/{file}"


def _jks_bundle(made: Takeover, prefix: str, name: str) -> _Bundle:
    found = {}
    for part, key in (("keystore", "tls.certificate"), ("truststore", "tls.trusted")):
        one = made.get(f"{prefix}.{part}.location")
        if one is None:
            continue
        password = made.properties.value(f"{prefix}.{part}.password")
        file = name if part == "keystore" else f"{name}-ca"
        try:
            found[part] = _from_store(made, made.path(one.value), password, file, identity=part == "keystore")
        except NotReadable as error:
            made.left(one, str(error))
        else:
            made.taken(one, key, f"written as PEM to tls/{safe_name(file)}.pem")
    keystore = found.get("keystore", _Bundle(None, None, None))
    return dataclasses.replace(keystore, trusted=found.get("truststore", keystore).trusted)


def _target(bundle: _Bundle) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if bundle.certificate and bundle.key:
        values |= {"certificate": bundle.certificate, "key": bundle.key}
    if bundle.trusted:
        values["trusted"] = [bundle.trusted]
    return values


def _target_name(made: Takeover, name: str) -> str:
    """A name for a target that none has yet."""
    safe = safe_name(name)
    taken = {section.rpartition(".")[2] for section in made.tables if section.startswith("tls.targets.")}
    return next(one for one in (safe, *(f"{safe}-{n}" for n in range(2, 1000))) if one not in taken)
