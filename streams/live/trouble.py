"""The broker failed us: one exception for all clients, whose message is for the person who starts the command."""

from __future__ import annotations


class BrokerTrouble(Exception):
    """A broker that cannot be reached, refuses us or does not answer. The message says what to do."""
