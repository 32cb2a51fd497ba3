"""Every property of the incumbent that is known, and what becomes of it: the one table that the import works by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Fate(Enum):
    """What becomes of a property."""

    TAKEN = "taken over"
    CHANGED = "changed"
    LEFT = "not taken over"


@dataclass(frozen=True, slots=True)
class Row:
    """One property, or a family of them."""

    property: str
    """`<name>` stands for any word, `[i]` for any number, `*` for any end."""
    key: str = ""
    """Where it goes in our settings; `resolution.<key>` is in the routing tables. Empty: nowhere."""
    why: str = ""
    """What a person should know: why it is left, or what is different."""

    def matches(self, name: str) -> bool:
        """Whether a property with this name is meant, in any of its spellings."""
        return re.fullmatch(_pattern(self.property), _flat(name)) is not None


def _flat(name: str) -> str:
    """Lower case; dashes do not count, and an environment variable has underscores for dots and brackets."""
    if re.fullmatch(r"[A-Z0-9_]+", name):
        name = re.sub(r"_(\d+)(_|$)", r"[\1]_", name).rstrip("_").replace("_", ".")
    return name.replace("-", "").lower()


def _pattern(property: str) -> str:
    escaped = re.escape(_flat(property.replace("<name>", "\0").replace("[i]", "\1").replace("*", "\2")))
    for mark, pattern in (("\0", r"[^.\[\]]+"), ("\1", r"\[\d+\]"), ("\2", r".*")):
        escaped = escaped.replace(re.escape(mark), pattern).replace(mark, pattern)
    return escaped


_TABLES = "routing tables are published here, not fetched: put the rows into the tables' folder"
_PASSWORD = "only needed to read the keystore; a PEM key here has none, and is readable by its owner alone"
_LOG4J = "logging is not configured by the kind of line: see call_log and the ECS file"
_JAVA = "of the incumbent's own machinery"
_NEVER_READ = "nothing in the incumbent reads it"
_OPEN_PAGES = "one address serves all of the incumbent's pages here, at the incumbent's paths"
_DIRECTION = "one certificate serves both directions here, other ones are tls.targets"

ROWS: tuple[Row, ...] = (
    # Who and where
    Row("vp.instance.id", "platform.hsa_id"),
    Row("vp.instance.name", "platform.name"),
    Row("ei.hsa.id", "index.hsa_id"),
    Row("ei.alternative.hsa.id", "index.alternative_hsa_ids"),
    Row("update-notification.not.allowed.hsaid.list", "index.reserved"),
    Row("vp.host", "", "part of the addresses that name it"),
    Row("vp.https.route.url", "listen.https", "the path is always /vp"),
    Row("vp.http.route.url", "listen.http", "plain http is believed only with insecure.trusted_headers"),
    Row("vp.status.url", "listen.status", _OPEN_PAGES),
    Row("vp.reset.cache.url", "listen.status", _OPEN_PAGES),
    Row("vp.hsa.reset.cache.url", "listen.status", _OPEN_PAGES),
    Row("server.port", "listen.status", _OPEN_PAGES),
    Row("management.server.port", "listen.status", _OPEN_PAGES),
    Row("management.*", "", "health is at listen.status and at the admin API's /health/..., always with details"),
    Row("vp.max.receive.length", "limits.max_body_bytes"),
    # The sender
    Row("certificate.senderid.subject.pattern", "", "the HSA-id is the subject's serialNumber, read from its OID"),
    Row("ip.whitelist", "http.whitelist", "networks, where the incumbent has beginnings of addresses"),
    Row("http.forwarded.header.xfor", "http.forwarded_for_header"),
    Row("http.forwarded.header.auth_cert", "http.certificate_header"),
    Row("http.forwarded.header.proto", "forwarded.proto"),
    Row("http.forwarded.header.host", "forwarded.host"),
    Row("http.forwarded.header.port", "forwarded.port"),
    Row("sender.id.allowed.list", "original_consumer.allowed"),
    Row(
        "throw.vp013.when.originalconsumer.not.allowed",
        "",
        "others are refused (VP013), as with true; insecure.original_consumer_unchecked ends that",
    ),
    Row("vp.use.routing.history", "loops.routing_history"),
    # Routes and permissions
    Row("hsa.lookup.vagval.defaultEnabled", "resolution.hsa_climb.routes"),
    Row("hsa.lookup.behorighet.defaultEnabled", "resolution.hsa_climb.permissions"),
    Row("hsa.lookup.vagval.exceptedNamespaces", "resolution.hsa_climb.except", "one list for routes and permissions"),
    Row(
        "hsa.lookup.behorighet.exceptedNamespaces", "resolution.hsa_climb.except", "one list for routes and permissions"
    ),
    Row("defaultrouting.delimiter", "resolution.delimiter"),
    Row("defaultrouting.allowedContracts", "resolution.delimiter_contracts"),
    Row("defaultrouting.allowedSenderIds", "resolution.delimiter_senders"),
    Row("vagvalrouter.default.routing.address.delimiter", "", _NEVER_READ),
    Row("vagvalrouter.sender.ip.adress.http.header", "", _NEVER_READ),
    Row("takcache.endpoint.address", "", _TABLES),
    Row("takcache.header.user.agent", "", _TABLES),
    Row("takcache.persistent.file.name", "", _TABLES),
    Row("takcache.*", "", _TABLES),
    Row("hsa.files", "tables.hsa", "copied; read again whenever they change"),
    # Towards producers
    Row("vp.header.user.agent", "headers.user_agent"),
    Row("vp.header.content.type", "headers.content_type"),
    Row("headers.reg.exp.requestHeadersToRemove", "headers.request_remove"),
    Row("headers.reg.exp.requestHeadersToKeep", "headers.request_keep"),
    Row("headers.reg.exp.responseHeadersToRemove", "headers.response_remove"),
    Row("headers.reg.exp.responseHeadersToKeep", "headers.response_keep"),
    Row("propagate.correlation.id.for.https", "correlation.to_https"),
    Row("producer.https.keepAlive", "producers.keep_alive"),
    Row("producer.http.keepAlive", "producers.keep_alive", "one switch for http and https"),
    Row("producer.chunked.encoding", "producers.chunked"),
    Row("producer.https.disconnect", "producers.disconnect"),
    Row("producer.http.disconnect", "producers.disconnect", "one switch for http and https"),
    Row("producer.https.connect.timeout", "timeouts.connect_seconds"),
    Row("producer.http.connect.timeout", "timeouts.connect_seconds", "one time for http and https"),
    Row("vp.connection.timeout", "", _NEVER_READ),
    Row("timeout.json.file", "timeouts.contracts"),
    Row("timeout.json.file.default.tjanstekontrakt.name", "timeouts.producer_seconds"),
    Row("vp.producer.retry.attempts", "retry.attempts"),
    Row("vp.producer.retry.delay", "retry.delay_seconds"),
    Row(
        "producer.https.hostnameVerification",
        "",
        "a producer's host name is always verified; insecure.hostname_unchecked ends that",
    ),
    Row("producer.https.workers", "", "input and output take no threads here; platform.workers are processes"),
    Row("producer.http.workers", "", "input and output take no threads here; platform.workers are processes"),
    # TLS
    Row("vp.tls.default-config.name", "tls.targets"),
    Row("vp.tls.default-config.bundle", "tls.targets", _DIRECTION),
    Row("vp.tls.default-config.protocols-include*", "", "TLS 1.2 and 1.3 are offered; a target may have fewer"),
    Row("vp.tls.default-config.protocols-exclude*", "", "TLS 1.2 and 1.3 are offered; a target may have fewer"),
    Row("vp.tls.default-config.cipher-suites-include*", "", "ECDHE with AEAD; a target may have fewer"),
    Row("vp.tls.default-config.cipher-suites-exclude*", "", "ECDHE with AEAD; a target may have fewer"),
    Row("vp.tls.overrides[i].name", "tls.targets"),
    Row("vp.tls.overrides[i].bundle", "tls.targets.<name>.certificate"),
    Row("vp.tls.overrides[i].protocols-include*", "tls.targets.<name>.protocols"),
    Row("vp.tls.overrides[i].protocols-exclude*", "tls.targets.<name>.protocols"),
    Row("vp.tls.overrides[i].cipher-suites-include*", "tls.targets.<name>.ciphers"),
    Row("vp.tls.overrides[i].cipher-suites-exclude*", "", "name the suites to offer in tls.targets.<name>.ciphers"),
    Row("vp.tls.overrides[i].match.domain-name", "tls.targets.<name>.domain"),
    Row("vp.tls.overrides[i].match.domain-suffix", "tls.targets.<name>.domain_suffix"),
    Row("vp.tls.overrides[i].match.port", "tls.targets.<name>.port"),
    Row("vp.tls.mtls-verification-enabled", "", "a producer that asks for no certificate is not told apart"),
    Row("spring.ssl.bundle.pem.<name>.keystore.certificate", "tls.certificate"),
    Row("spring.ssl.bundle.pem.<name>.keystore.private-key", "tls.key"),
    Row("spring.ssl.bundle.pem.<name>.keystore.private-key-password", "", _PASSWORD),
    Row("spring.ssl.bundle.pem.<name>.truststore.certificate", "tls.trusted"),
    Row("spring.ssl.bundle.jks.<name>.keystore.location", "tls.certificate"),
    Row("spring.ssl.bundle.jks.<name>.keystore.password", "", _PASSWORD),
    Row("spring.ssl.bundle.jks.<name>.key.password", "", _PASSWORD),
    Row("spring.ssl.bundle.jks.<name>.truststore.location", "tls.trusted"),
    Row("spring.ssl.bundle.jks.<name>.truststore.password", "", _PASSWORD),
    Row("spring.ssl.bundle.*", "", "certificates are read again when they change; protocols and ciphers by target"),
    Row("tp.tls.store.location", "", "part of the files that it names"),
    Row("tp.tls.store.producer.file", "tls.certificate"),
    Row("tp.tls.store.producer.password", "", _PASSWORD),
    Row("tp.tls.store.producer.keyPassword", "", _PASSWORD),
    Row("tp.tls.store.consumer.file", "tls.targets", _DIRECTION),
    Row("tp.tls.store.consumer.bundle", "tls.certificate"),
    Row("tp.tls.store.consumer.password", "", _PASSWORD),
    Row("tp.tls.store.consumer.keyPassword", "", _PASSWORD),
    Row("tp.tls.store.truststore.file", "tls.trusted"),
    Row("tp.tls.store.truststore.password", "", _PASSWORD),
    Row("tp.tls.allowedIncomingProtocols", "", "TLS 1.2 and 1.3 are accepted; insecure.old_tls adds older ones"),
    Row("tp.tls.allowedOutgoingProtocols", "", "TLS 1.2 and 1.3 are offered; a target may have fewer"),
    Row("tp.tls.*", "", "TLS 1.2 with ECDHE and AEAD, and TLS 1.3"),
    # Contracts
    Row("wsdl.json.file", "", "WSDLs are served of every contract that is installed"),
    Row("wsdlfiles.directory", "", "WSDLs are served of every contract that is installed"),
    # Logging and machinery
    Row("vp.logging.style", "", "ECS, in the state folder's ecs.jsonl"),
    Row("logging.*", "", _LOG4J),
    Row("message.logger.method", "", _NEVER_READ),
    Row("camel.springboot.name", "call_log.service_name"),
    Row("camel.main.name", "call_log.service_name"),
    Row("memory.logger.period.seconds", "", "memory of each process is in `rivta status`"),
    Row("server.use-forward-headers", "", _NEVER_READ),
    Row("server.*", "", _JAVA),
    Row("camel.*", "", _JAVA),
    Row("spring.*", "", _JAVA),
)


def row_of(name: str) -> Row | None:
    """The first row that means this property; None for one that nobody knows."""
    return next((row for row in ROWS if row.matches(name)), None)
