"""The names of options."""

from __future__ import annotations


def option_name(option: object) -> str:
    """The name of an option: that of the module which defines its class.

    >>> from vaecli.objectives.strategies.free_bits import FreeBits
    >>> option_name(FreeBits())
    'free_bits'
    """
    return type(option).__module__.rpartition(".")[2]
