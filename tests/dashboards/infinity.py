"""What Grafana and its Infinity plug-in do with a query of a dashboard, as far as our dashboards use it.

Read from the plug-in's source (its backend parser): variables are put in, the data source's URL goes before the
query's, parameters are added, the root selector and the columns are paths into the JSON that came back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ClientSession
from yarl import URL

Query = Mapping[str, Any]
DATA_SOURCE: Final = {"type": "yesoreyeram-infinity-datasource", "uid": "itsminer"}


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels, those in rows too, without the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def queries(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, Query]]:
    """Where each query stands, and the query; panels that share another's answer have none of their own."""
    for variable in dashboard["templating"]["list"]:
        yield f"variable {variable['name']}", variable["query"]["infinityQuery"]
    for panel in panels(dashboard):
        for target in panel["targets"]:
            if "panelId" not in target:
                yield f"panel {panel['id']} {panel['title']} {target['refId']}", target


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in, as `${name}` or `$name`. Raises `KeyError` for one that there is not."""
    return re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda match: variables[match[1] or match[2]], text)


@dataclass(frozen=True)
class Answer:
    """What came back: rows with a value for each column, `None` where there is none."""

    status: int
    body: Any
    rows: list[dict[str, Any]]


async def asked(base_url: str, token: str, query: Query, variables: Mapping[str, str]) -> Answer:
    """Ask as the plug-in would."""
    address = filled_in(query["url"], variables)
    if not address.startswith(base_url):
        address = base_url + address
    sent = [(p["key"], filled_in(p["value"], variables)) for p in query["url_options"]["params"]]
    async with (
        ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(URL(address).extend_query(sent)) as reply,
    ):
        body = await reply.json(content_type=None)
        rows = []
        if reply.status == 200:
            root = at(body, query["root_selector"])
            assert isinstance(root, list), f"{query['root_selector']!r} selects no list"
            rows = [{c["text"]: at(row, c["selector"]) for c in query["columns"]} for row in root]
        return Answer(reply.status, body, rows)


def at(value: Any, path: str) -> Any:
    """`a.b.0` in JSON; None where there is nothing."""
    for name in path.split(".") if path else ():
        if isinstance(value, list):
            value = value[int(name)] if name.isdigit() and int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value
