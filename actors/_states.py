"""The states of an actor, as numbers that the hot paths compare. IDLE is 0: `not state`."""

IDLE, READY, RUNNING, HELD, STOPPING, DEAD = range(6)
STATES = ("idle", "ready", "running", "held", "stopping", "dead")
