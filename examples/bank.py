"""A bank on the kernel alone: accounts are actors, transfers are asks, a crash loses no money."""

import sys
from functools import partial
from random import Random

import anyio

from nexau import actors
from nexau.actors import Actor, ActorError, ActorRef, ChildSpec, Refused, SupervisorSpec


class Account(Actor):
    """Takes `(kind, amount)`; its journal outlives a crash."""

    def __init__(self, journal: list[int], random: Random) -> None:
        self.journal, self.random = journal, random

    async def receive(self, message: tuple[str, int]) -> int:
        kind, amount = message
        if kind == "withdraw":
            if sum(self.journal) < amount:
                raise Refused("insufficient funds")
            if self.random.random() < 0.02:
                raise RuntimeError("the cashier fainted")
            amount = -amount
        self.journal.append(amount)
        return sum(self.journal)


async def transfer(source: ActorRef, target: ActorRef, amount: int, failures: list[str]) -> None:
    try:
        await source.ask(("withdraw", amount), timeout=1)
        await target.ask(("deposit", amount), timeout=1)
    except (ActorError, RuntimeError) as error:
        failures.append(str(error))


async def main() -> None:
    random, failures = Random(7), list[str]()
    journals = [[100] for _ in range(10)]
    children = tuple(
        ChildSpec(f"account-{number}", partial(Account, journal, random))
        for number, journal in enumerate(journals)
    )
    async with actors.open_system("bank") as system:
        accounts = system.supervise(SupervisorSpec(intensity=100, children=children), "accounts")
        await accounts.ready()
        async with anyio.create_task_group() as group:
            for _ in range(500):
                source, target = random.sample(accounts.children, 2)
                group.start_soon(transfer, source, target, random.randint(1, 50), failures)
        print(system.tree(), f"\n{len(failures)} transfers failed", file=sys.stderr)
        print("total:", sum(map(sum, journals)))


if __name__ == "__main__":
    anyio.run(main)
