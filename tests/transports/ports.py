"""Ports of the loopback interface, for servers that are processes."""

import anyio

PATIENT = 60.0


async def listening(port: int) -> None:
    """Waits until somebody listens there."""
    with anyio.fail_after(PATIENT):
        while True:
            try:
                stream = await anyio.connect_tcp("127.0.0.1", port)
            except OSError:
                await anyio.sleep(0.05)
            else:
                await stream.aclose()
                return
