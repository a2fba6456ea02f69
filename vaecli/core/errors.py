"""Refusals and exit codes: wrong use ends with exit code 2 and at most three lines."""

# Exit codes. A command that a signal ended has 128 + its number; INTERRUPTED is SIGINT's.
DONE, FAILED, WRONG_USE, DIVERGED, INTERRUPTED = 0, 1, 2, 3, 130


class UsageError(Exception):
    """A request that cannot be carried out.

    The message names the key and its value, the rule it breaks and the remedy.
    """

    def __init__(self, key: str, value: object, rule: str, remedy: str):
        super().__init__(f"{key}={_short(value)}: {rule}\n  {remedy}")


def require(condition: bool, key: str, value: object, rule: str, remedy: str) -> None:
    """Raise UsageError unless `condition` holds.

    Args:
        condition: what must be true.
        key: the config key, or the argument.
        value: its value.
        rule: the rule that the value breaks; a sentence whose subject is the key.
        remedy: something to try instead.
    """
    if not condition:
        raise UsageError(key, value, rule, remedy)


def printable(words: str) -> str:
    """`words` with a ? for each character that would steer a terminal, or break the line."""
    return "".join(c if c.isprintable() else "?" for c in words)


def _short(value: object, most: int = 200) -> str:
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= most else text[: most - 3] + "..."
