"""How many asks a second of an idle actor, beside other actor libraries?

Run it in an environment that has them: `pip install -r bench/kernel/peers-requirements.txt` and the
project itself, or its folder on PYTHONPATH.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from ask_idle import pattern
from harness import main
from patterns import Figure, clock, contenders

COUNT = 3000


async def with_pykka() -> Figure:
    import pykka  # noqa: PLC0415 - a contender that may be missing

    class Echo(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return message

    ref = Echo.start()
    start = clock()
    for number in range(COUNT):
        ref.ask(number)
    took = clock() - start
    ref.stop()
    return COUNT, took


async def with_thespian() -> Figure:
    from thespian.actors import Actor, ActorExitRequest, ActorSystem  # noqa: PLC0415

    class Echo(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802
            if not isinstance(message, ActorExitRequest):
                self.send(sender, message)

    system = ActorSystem("simpleSystemBase")
    ref = system.createActor(Echo)
    start = clock()
    for number in range(COUNT):
        system.ask(ref, number + 1)
    took = clock() - start
    system.shutdown()
    return COUNT, took


async def with_xoscar() -> Figure:
    import xoscar  # noqa: PLC0415

    class Echo(xoscar.StatelessActor):  # type: ignore[misc]
        async def echo(self, message: Any) -> Any:
            return message

    pool = await xoscar.create_actor_pool("127.0.0.1:0", n_process=0)
    async with pool:
        ref = await xoscar.create_actor(Echo, address=pool.external_address, uid="echo")
        start = clock()
        for number in range(COUNT):
            await ref.echo(number)
        return COUNT, clock() - start


async def with_autogen() -> Figure:
    from autogen_core import (  # noqa: PLC0415
        AgentId,
        MessageContext,
        RoutedAgent,
        SingleThreadedAgentRuntime,
        message_handler,
    )

    @dataclass
    class Text:
        text: str

    class Echo(RoutedAgent):  # type: ignore[misc]
        @message_handler  # type: ignore[misc]
        async def echo(self, message: Text, context: MessageContext) -> Text:
            return message

    runtime = SingleThreadedAgentRuntime()
    await Echo.register(runtime, "echo", lambda: Echo("echo"))
    runtime.start()
    target = AgentId("echo", "default")
    start = clock()
    for number in range(COUNT):
        await runtime.send_message(Text(str(number)), target)
    took = clock() - start
    await runtime.stop()
    await asyncio.sleep(0)
    return COUNT, took


if __name__ == "__main__":
    peers = {
        "pykka": with_pykka,
        "thespian": with_thespian,
        "xoscar": with_xoscar,
        "autogen": with_autogen,
    }
    floors = contenders(pattern)
    main(__doc__, {"ours": floors["ours"], "deque_future": floors["deque_future"], **peers})
