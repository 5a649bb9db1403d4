"""P19 by what nobody thought of: requests made from our own OpenAPI, sent by two accounts at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.promises.deployed import Service, running
from tests.promises.test_P19_isolation import LIMITS
from tests.promises.walker import Tenant, tenant

schemathesis = pytest.importorskip("schemathesis", reason="not installed yet: make setup")

EXAMPLES = 3
ENDS_WHO_ASKS = ("/v1/logout", "/v1/account/cancel")
SLOW = ("/v1/register", "/v1/password/forgot", "/v1/login", "/v1/password", "/v1/invitations/accept")
"""They wait on purpose, or make an argon2 hash."""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with running(tmp_path, extra=LIMITS) as made:
        yield made


def fuzz(url: str, document: dict[str, Any], ours: Tenant, theirs: Tenant) -> int:
    """Send what the document allows, as both at once; how many requests that were."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

    checks = [not_a_server_error, response_schema_conformance, status_code_conformance]
    count = 0

    def ask(case: Any, us: Tenant) -> Any:
        token = (
            us.customer.agent if "agent" in str(case.operation.definition.raw.get("security")) else us.customer.session
        )
        return case.call(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    with ThreadPoolExecutor(2) as both:
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = found.ok()
            if operation.path in (*ENDS_WHO_ASKS, *SLOW):
                continue

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def check(case: Any) -> None:
                nonlocal count
                answers = list(both.map(ask, (case, case), (ours, theirs)))
                count += len(answers)
                for answer, other in zip(answers, (theirs, ours), strict=True):
                    case.validate_response(answer, checks=checks)
                    for secret in other.secrets:
                        assert secret not in answer.text, (case.method, case.path, secret)

            check()
    return count


@pytest.mark.slow
async def test_two_accounts_that_send_whatever_the_document_allows_learn_nothing_of_each_other(
    service: Service,
) -> None:
    ours, theirs = await tenant(service, 1), await tenant(service, 2)
    document = await service.seen("/v1/openapi.json")
    count = await asyncio.to_thread(fuzz, service.url, document, ours, theirs)
    assert count > len(document["paths"])
    for us in (ours, theirs):
        [site] = [one for one in (await service.seen("/v1/sites", us.customer.read))["sites"] if one["name"] == "Hall"]
        assert site["site"] == us.names["site"]
        [machine] = (await service.seen("/v1/machines", us.customer.read, site=site["site"]))["machines"]
        assert machine["machine"] == us.names["machine"]
