"""What several daemons of one store share through Redis. Nothing of it is true by itself: the store is."""

from __future__ import annotations

from jouled.sharing.relay import Relay

__all__ = ["Relay"]
