"""A bank on the kernel alone: accounts are actors, a teller moves money between them.

    python examples/bank.py

An account that crashes is started again by its supervisor, from its journal; nothing is lost.
"""

import sys
from random import Random

import anyio

from nexau.actors import Actor, ActorRef, ChildSpec, Refused, SupervisorSpec, open_system

ACCOUNTS, TRANSFERS = 10, 500


class Account(Actor):
    """Takes `(kind, amount)`; its journal outlives a crash."""

    def __init__(self, journal: list[int], random: Random) -> None:
        self.journal, self.random = journal, random

    async def receive(self, message: tuple[str, int]) -> int:
        kind, amount = message
        if kind == "withdraw" and sum(self.journal) < amount:
            raise Refused("insufficient funds")
        if kind == "withdraw" and self.random.random() < 0.02:
            raise RuntimeError("the cashier fainted")
        self.journal.append(-amount if kind == "withdraw" else amount)
        return sum(self.journal)


async def transfer(source: ActorRef, target: ActorRef, amount: int, failures: list[str]) -> None:
    try:
        await source.ask(("withdraw", amount), timeout=1)
        await target.ask(("deposit", amount), timeout=1)
    except Exception as error:  # noqa: BLE001 - a customer is told whatever it was
        failures.append(str(error))


async def main() -> None:
    random = Random(7)
    journals = [[100] for _ in range(ACCOUNTS)]
    children = tuple(
        ChildSpec(f"account-{number}", lambda journal=journal: Account(journal, random))  # type: ignore[misc]
        for number, journal in enumerate(journals)
    )
    async with open_system("bank") as system:
        accounts = system.supervise(SupervisorSpec(intensity=100, children=children), "accounts")
        await accounts.ready()
        failures: list[str] = []
        async with anyio.create_task_group() as group:
            for _ in range(TRANSFERS):
                source, target = random.sample(accounts.children, 2)
                group.start_soon(transfer, source, target, random.randint(1, 50), failures)
        print(system.tree(), file=sys.stderr)
        print({reason: failures.count(reason) for reason in set(failures)}, file=sys.stderr)
        print("total:", sum(map(sum, journals)))


if __name__ == "__main__":
    anyio.run(main)
