"""The status of a diagnosis: the word for the share of active dimensions."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """From healthy to collapsed; the values are the words of diagnosis.json."""

    HEALTHY = "HEALTHY"
    PARTIAL = "PARTIAL COLLAPSE"
    SEVERE = "SEVERE COLLAPSE"
    FULL = "FULL COLLAPSE"

    @classmethod
    def of(cls, active: int, total: int) -> Status:
        """The status of `active` among `total` dimensions: none, below 10 %, below 50 %, more."""
        if active == 0:
            return cls.FULL
        if active < 0.1 * total:
            return cls.SEVERE
        return cls.PARTIAL if active < 0.5 * total else cls.HEALTHY
