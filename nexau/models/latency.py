"""The time that a model without a network pretends to take."""

import anyio

from nexau.models.base import ModelError


async def pause(seconds: float, deadline: float | None) -> None:
    """Raises `ModelError` at the deadline, where that comes first."""
    if deadline is None:
        await anyio.sleep(seconds)
        return
    left = deadline - anyio.current_time()
    await anyio.sleep(min(seconds, max(0.0, left)))
    if left < seconds:
        raise ModelError("the deadline passed before the model answered")
