"""Where the server is and who we are to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints


class InfluxSettings(BaseModel):
    """Settings of the InfluxDB engine."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=300)]
    org: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    token: SecretStr
    ca_file: Path | None = None
    prefix: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,30}$")] = "itsminer"  # of each bucket's name
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30  # for one answer of the server
