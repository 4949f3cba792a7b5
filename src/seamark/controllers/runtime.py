"""What every controller shares: a work queue of keys with per-key back-off, and the loop that reconciles them.

A controller is a folder: ``plan.py`` has the pure ``plan_*`` functions (observed -> actions), ``controller.py`` the
wiring: which informers put which keys into the queue, and one ``reconcile(key)`` that reads, plans and applies.
A reconcile that raises is retried with exponential back-off (5 ms doubling to 30 s); a stale cache is no error: the
next event comes. The queue itself is ``client/workqueue.py``: the scheduler, which may not import controllers, has one
as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from seamark.client.workqueue import Controller, WorkQueue, is_namespace_ending, is_quiet
from seamark.model.meta import ObjectKey

__all__ = ["Controller", "Reconcile", "WorkQueue", "is_namespace_ending", "is_quiet"]

Reconcile = Callable[[ObjectKey], Awaitable[float | None]]
"""Looks at one key; the number it may return is in how many seconds to look again though nothing happens."""
