"""The settings of a platform as its router reads them. Workers share what holds for all of the platform."""

from __future__ import annotations

import ipaddress
import math

from rivta.aggregation.merge import Wording
from rivta.aggregation.service import Rules
from rivta.router.client import ClientRules
from rivta.router.headers import HeaderRules
from rivta.router.limits import Limits
from rivta.router.policy import Handling, PlainHttp, Policy, Validation
from rivta.run.settings import Settings
from rivta.run.trust import RevocationWatch
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress
from rivta.tls.targets import Identities, TlsTarget


def policy_of(settings: Settings) -> Policy:
    """The platform's settings as the pipeline reads them. Its workers share the limits that hold for all of it."""
    workers = settings.platform.workers
    validation = settings.validation
    return Policy(
        platform=HsaId(settings.platform.hsa_id),
        platform_name=settings.platform.name,
        validation=Validation(
            request=Handling(validation.request),
            response=Handling(validation.response),
            contracts={
                ContractNamespace(namespace): (
                    Handling(own.request or validation.request),
                    Handling(own.response or validation.response),
                )
                for namespace, own in validation.contracts.items()
            },
            reject_unknown_contract=validation.unknown_contract == "reject",
            max_bytes=validation.max_bytes,
            checks_large=validation.large == "thread",
        ),
        original_consumer_allowed=frozenset(map(HsaId, settings.original_consumer.allowed)),
        proxies={HsaId(hsa_id): proxy.certificate_header for hsa_id, proxy in settings.proxies.items()},
        plain_http=PlainHttp(
            whitelist=tuple(map(ipaddress.ip_network, settings.http.whitelist)),
            certificate_header=settings.http.certificate_header,
            forwarded_for_header=settings.http.forwarded_for_header,
        ),
        routing_history=settings.loops.routing_history,
        producer_seconds=settings.timeouts.producer_seconds,
        producer_seconds_of={ContractNamespace(n): seconds for n, seconds in settings.timeouts.contracts.items()},
        platform_seconds=settings.timeouts.platform_seconds,
        connect_seconds=settings.timeouts.connect_seconds,
        retry_attempts=settings.retry.attempts,
        retry_delay_seconds=settings.retry.delay_seconds,
        max_answer_bytes=settings.limits.max_body_bytes,
        in_flight_per_producer=math.ceil(settings.limits.in_flight_per_producer / workers),
        in_flight_per_platform=math.ceil(settings.limits.in_flight_per_platform / workers),
        breaker_failures=settings.breaker.failures,
        breaker_within_seconds=settings.breaker.within_seconds,
        breaker_open_seconds=settings.breaker.open_seconds,
        correlation_to_https=settings.correlation.to_https,
        user_agent=settings.headers.user_agent,
        content_type=settings.headers.content_type,
        header_rules=HeaderRules(
            request_remove=settings.headers.request_remove,
            request_keep=settings.headers.request_keep,
            response_remove=settings.headers.response_remove,
            response_keep=settings.headers.response_keep,
        ),
        compat=settings.compat_switches,
        insecure=settings.insecure_switches,
    )


def aggregation_rules_of(settings: Settings) -> Rules:
    """How this platform aggregates. Its workers share the calls that may be under way."""
    own = settings.aggregation
    address = own.address or settings.platform.hsa_id
    return Rules(
        platform=HsaId(settings.platform.hsa_id),
        address=LogicalAddress(address),
        index_address=LogicalAddress(own.index_address or address),
        services=own.rows,
        deadline_seconds=own.deadline_seconds,
        index_seconds=own.index_seconds,
        source_seconds=own.source_seconds,
        in_flight=math.ceil(own.in_flight / settings.platform.workers),
        filtered_shown_to=frozenset(map(HsaId, own.filtered_shown_to)),
        logical_errors_fail=own.logical_errors == "failed",
        wording=Wording(in_order=own.order == "source", strict=own.strict_status),
        compat=settings.compat_switches,
    )


def limits_of(settings: Settings) -> Limits:
    """What a listener's connections may cost; the workers share those that are counted."""
    workers, limits = settings.platform.workers, settings.limits
    return Limits(
        max_body_bytes=limits.max_body_bytes,
        header_seconds=limits.header_seconds,
        min_bytes_per_second=limits.min_bytes_per_second,
        keep_alive_seconds=limits.keep_alive_seconds,
        unread_seconds=limits.unread_seconds,
        max_target_bytes=limits.max_target_bytes,
        max_header_bytes=limits.max_header_bytes,
        max_headers=limits.max_headers,
        connections=math.ceil(limits.connections / workers),
        connections_per_sender=math.ceil(limits.connections_per_sender / workers),
        held_bytes=max(math.ceil(limits.held_bytes / workers), 4 * limits.max_body_bytes),
        handshakes_per_address=math.ceil(limits.handshakes_per_address / workers),
    )


def client_rules_of(settings: Settings) -> ClientRules:
    """How producers are called."""
    producers = settings.producers
    return ClientRules(
        keep_alive=producers.keep_alive,
        disconnect=producers.disconnect,
        idle_seconds=producers.idle_seconds,
        chunked=producers.chunked,
        relay_cut_answers=settings.compat_switches.cut_answers_relayed,
    )


def identities_of(settings: Settings, revocations: RevocationWatch) -> Identities:
    """The certificates that producers are shown, and by whom they are trusted. Raises TlsSetupError."""
    own, insecure = settings.tls, settings.insecure_switches
    return Identities(
        TlsTarget("", own.certificate, own.key, own.trusted),
        [TlsTarget(name=name, **dict(target)) for name, target in own.targets.items()],
        is_revoked=revocations.is_revoked_certificate,
        check_hostname=not insecure.hostname_unchecked,
        old_tls=insecure.old_tls,
    )
