"""Where a server of an agent file is to be found: placeholders filled in, paths resolved."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from nexau.definitions.values import HttpServer, Server, StdioServer
from nexau.files.placeholders import expand_env
from nexau.pins import pins_of
from nexau.processes import ProcessActor
from nexau.secrets.redaction import SECRETS
from nexau.sessions import Target
from nexau.transports.confinement import Confinement
from nexau.transports.connection import HttpTarget, StdioTarget
from nexau.transports.ports import free_port


def locate(
    name: str, config: Server, base: Path | None
) -> tuple[Target, Callable[[], ProcessActor] | None]:
    """The target of a server, and the actor that runs its process where the runtime is to do so.

    Relative directories start at `base`, which is also the working directory unless `cwd` says
    otherwise. Raises `DefinitionError` for an environment variable that is not set.
    """
    env = _expanded(config.env, f"{name}.env")
    pins = None if config.pins is None else pins_of((base or Path()) / config.pins, name)
    confine = _resolved(config.confine, base)
    if isinstance(config, StdioServer):
        command, cwd = _python(config.command), _cwd(config, base)
        args = tuple(_here(arg, base) for arg in config.args)
        return StdioTarget(command, args, env, cwd, confine, config.caps, pins), None
    port = free_port() if config.command is not None else 0
    url = expand_env(config.url, os.environ, f"{name}.url").replace("{port}", str(port))
    SECRETS.add(urlsplit(url).password or "")
    own = config.sessions == "rollout"
    headers = _expanded(config.headers, f"{name}.headers")
    target = HttpTarget(url, headers, not own, own, config.caps, pins)
    if config.command is None:
        return target, None
    command, cwd = _python(config.command), _cwd(config, base)
    env = {key: text.replace("{port}", str(port)) for key, text in env.items()}
    args = tuple(_here(arg, base).replace("{port}", str(port)) for arg in config.args)
    timeout = config.start_timeout
    return target, lambda: ProcessActor(name, command, args, env, cwd, port, timeout, confine)


def _expanded(values: Mapping[str, str], where: str) -> dict[str, str]:
    expanded = {key: expand_env(text, os.environ, f"{where}.{key}") for key, text in values.items()}
    SECRETS.add_named(expanded)
    return expanded


def _python(command: str) -> str:
    """`{python}` is the interpreter that runs this."""
    return command.replace("{python}", sys.executable)


def _here(arg: str, base: Path | None) -> str:
    """`{here}` is the agent file's directory."""
    return arg.replace("{here}", str((base or Path()).absolute())) if "{here}" in arg else arg


def _resolved(confine: Confinement, base: Path | None) -> Confinement:
    """With the paths that a sandbox opens made absolute."""
    top = (base or Path()).absolute()
    read = None if confine.read is None else tuple(str(top / path) for path in confine.read)
    return replace(confine, read=read, write=tuple(str(top / path) for path in confine.write))


def _cwd(config: StdioServer | HttpServer, base: Path | None) -> str | None:
    if config.cwd is None:
        return str(base) if base is not None else None
    return str(base / config.cwd) if base is not None else config.cwd
