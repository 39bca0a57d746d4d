"""A model client as an actor."""

from nexau.actors import Actor
from nexau.models.base import Model, ModelError, ModelRequest, Turn


class PolicyActor(Actor):
    """Answers one `ModelRequest` at a time; a pool of these serves many at once.

    A `ModelError` is an answer, not a crash: it is returned.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    async def receive(self, message: ModelRequest) -> Turn | ModelError:
        try:
            return await self.model.turn(message)
        except ModelError as error:
            return error
