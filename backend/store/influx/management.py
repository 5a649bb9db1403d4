"""Buckets, their rules, and tokens: by influxdb-client's synchronous client, from a worker thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from influxdb_client import BucketRetentionRules, InfluxDBClient, Permission, PermissionResource
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from backend.store.errors import StoreMisconfigured, StoreUnavailable
from backend.store.influx import tiers
from backend.store.influx.settings import InfluxSettings

_RETRY_AFTER_S = 5.0
_RETRY_AFTER_MISCONFIGURED_S = 60.0


def prepare(settings: InfluxSettings) -> None:
    """Make the buckets that are missing and set rules that differ. Doing it again changes nothing.

    A token that may only use the buckets is enough when they are all there and right. Raises `StoreUnavailable`.
    """
    with _told(), _client(settings) as client:
        _prepare(client, settings)


def narrow_token(settings: InfluxSettings) -> str:
    """A new token that may read and write our buckets and nothing else; needs one that may create tokens.

    The service does not need more than it to run, so the all-access token need not lie on its disk. Raises
    `StoreUnavailable`.
    """
    with _told(), _client(settings) as client:
        organisation = _organisation(client, settings)
        ours = _present(client, settings)
        permissions = [
            Permission(action=action, resource=PermissionResource(type="buckets", id=found.id, org_id=organisation))
            for found in ours.values()
            for action in ("read", "write")
        ]
        made = client.authorizations_api().create_authorization(org_id=organisation, permissions=permissions)
        return str(made.token)


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the library as ours."""
    try:
        yield
    except ApiException as error:
        if error.status in (400, 401, 403, 404):
            raise _misconfigured(f"{error.status} {error.reason}") from error
        raise StoreUnavailable(
            f"the time series server does not answer about its buckets ({error.status})", retry_after_s=_RETRY_AFTER_S
        ) from error
    except InfluxDBError as error:  # what the library makes of an organisation that is not there
        raise _misconfigured(error.message) from error
    except HTTPError as error:
        raise StoreUnavailable(
            f"the time series server is not reached ({type(error).__name__})", retry_after_s=_RETRY_AFTER_S
        ) from error


def _misconfigured(reason: str) -> StoreMisconfigured:
    return StoreMisconfigured(
        f"the time series server does not let us prepare it ({reason}): check url, org and token; "
        "a first start needs a token that may create buckets, a new token one that may create tokens",
        retry_after_s=_RETRY_AFTER_MISCONFIGURED_S,
    )


def _client(settings: InfluxSettings) -> Any:
    return InfluxDBClient(
        url=settings.url,
        token=settings.token.get_secret_value(),
        org=settings.org,
        timeout=int(settings.timeout_s * 1000),
        ssl_ca_cert=None if settings.ca_file is None else str(settings.ca_file),
    )


def _prepare(client: Any, settings: InfluxSettings) -> None:
    buckets = client.buckets_api()
    present = _present(client, settings)
    for name, keep in tiers.rules(settings.prefix).items():
        rules, found = _rules(keep), present.get(name)
        if found is None:
            buckets.create_bucket(bucket_name=name, org=settings.org, retention_rules=rules, description="ItsMiner")
        elif sum(rule.every_seconds for rule in found.retention_rules) != rules[0].every_seconds:
            found.retention_rules = rules
            buckets.update_bucket(found)


def _rules(keep: timedelta | None) -> list[Any]:
    """What the server keeps, and in files of how much time."""
    return [
        BucketRetentionRules(
            type="expire",
            every_seconds=0 if keep is None else int(keep.total_seconds()),
            shard_group_duration_seconds=int(tiers.shard(keep).total_seconds()),
        )
    ]


def _present(client: Any, settings: InfluxSettings) -> dict[str, Any]:
    """Our buckets that there are, by name."""
    wanted = tiers.rules(settings.prefix)
    found = client.buckets_api().find_buckets_iter(org=settings.org, limit=100)
    return {bucket.name: bucket for bucket in found if bucket.name in wanted}


def _organisation(client: Any, settings: InfluxSettings) -> str:
    return str(client.organizations_api().find_organizations(org=settings.org)[0].id)
