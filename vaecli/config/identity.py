"""Configs that describe the same run: the keys that may differ, and the hash of the others."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from vaecli.core.errors import require

# Where the run computes, and where its data lies; the data itself is known by its digest.
PLACE = {"device", "data.root", "data.path", "data.download"}
FREE = PLACE | {"trainer.checkpoint_every", "resume"}
LONGER = {"trainer.epochs", "trainer.max_steps", "trainer.max_seconds"}  # a continuation may be


def config_hash(plain: dict[str, Any], *, any_length: bool = False) -> str:
    """Hash of the resolved config, without the keys that do not change the result.

    The path of the user's own data is part of it. any_length: leave out how long the run is.
    """
    free = LONGER if any_length else set()
    kept = {
        key: value
        for key, value in flat(plain).items()
        if key == "data.path" or not (_is_free(key) or key in free)
    }
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def require_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise UsageError for a continuation that is another run; it may be longer."""
    old, new = flat(before), flat(now)
    for key in sorted({*old, *new}):
        if key in LONGER or _is_free(key):
            continue
        require(
            old.get(key) == new.get(key),
            key,
            new.get(key),
            f"the run was made with {old.get(key)}, and a resumed run goes on as it was",
            "leave it out, or start a new run; only diagnosis.* and these may change: "
            + ", ".join(sorted(LONGER | FREE - {"resume"})),
        )


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


def _is_free(key: str) -> bool:
    return key in FREE or key.startswith(("diagnosis.", "sweep."))
