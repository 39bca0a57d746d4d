"""From a model's configuration to the policy."""

import os
import random
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from nexau.definitions.values import (
    DefinitionError,
    Endpoint,
    ModelConfig,
    OpenAIModel,
    PlanModel,
    ReplayModel,
    ScriptModel,
)
from nexau.files.nearest import nearest
from nexau.files.placeholders import expand_env
from nexau.files.problems import display
from nexau.models import endpoints
from nexau.models.base import Model
from nexau.models.openai import OpenAIChat
from nexau.models.plan import PlanPolicy
from nexau.models.replay import ReplayPolicy, read_trajectories
from nexau.models.script import ScriptPolicy, read_script
from nexau.models.varied import VariedPolicy
from nexau.secrets.redaction import SECRETS
from nexau.transports.http import HttpClient, public_url

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL_BY_DEFAULT = OpenAIModel("").base_url
_paces: WeakKeyDictionary[HttpClient, dict[tuple[object, ...], endpoints.Pace]] = (
    WeakKeyDictionary()
)
"""Models that share a client, as those of one runtime do, share its endpoints' limits and health:
an agent and its sub-agents ask the same endpoint with the same key."""
_OWN_KEYS = ("messages", "tools", "stream", "stream_options", "n")


def open_model(
    config: ModelConfig,
    *,
    base_dir: Path | None,
    http: HttpClient,
    environ: Mapping[str, str] = os.environ,
    chance: random.Random | None = None,
) -> Model:
    """Relative files start at `base_dir`, or at the working directory. `chance` draws the jitter
    of retries, for runs that must be repeatable.

    Raises `DefinitionError` for a variable that is not set and for a file that cannot be used.
    """
    match config:
        case OpenAIModel():
            return _openai(config, http, environ, chance)
        case PlanModel():
            if config.style == "gold" and not config.mix:
                return PlanPolicy(config.latency)
            return VariedPolicy(config)
        case ScriptModel():
            file = _file(config.file, base_dir)
            return ScriptPolicy(read_script(file), latency=config.latency, source=display(file))
        case ReplayModel():
            file = _file(config.file, base_dir)
            return ReplayPolicy(
                read_trajectories(file), latency=config.latency, source=display(file)
            )


def _openai(
    config: OpenAIModel,
    http: HttpClient,
    environ: Mapping[str, str],
    chance: random.Random | None,
) -> OpenAIChat:
    for key in _OWN_KEYS:
        if key in config.extra_body:
            raise DefinitionError(f"model.extra_body: {key!r} is set by the runtime itself")
    headers = {
        name: expand_env(value, environ, f"model.headers.{name}")
        for name, value in config.headers.items()
    }
    SECRETS.add_named(headers)
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise DefinitionError(f"model.headers: {name!r} is not a name that a header can have")
        _check_value(value, f"model.headers.{name}")
    return OpenAIChat(
        config,
        http,
        endpoints=_endpoints(config, http, headers, environ),
        images=config.images,
        chance=chance,
    )


def _endpoints(
    config: OpenAIModel, http: HttpClient, headers: Mapping[str, str], environ: Mapping[str, str]
) -> list[endpoints.Endpoint]:
    if config.endpoints and config.base_url != _URL_BY_DEFAULT:
        raise DefinitionError("model: base_url and endpoints exclude each other")
    made: list[endpoints.Endpoint] = []
    for index, each in enumerate(config.endpoints or (Endpoint(config.base_url),)):
        where = f"model.endpoints[{index}]" if config.endpoints else "model"
        _check_url(each.base_url, f"{where}.base_url")
        own = f"{where}.api_key_env" if each.api_key_env else "model.api_key_env"
        key = _key(each.api_key_env or config.api_key_env, environ, own)
        limits = (
            each.requests_per_minute or config.requests_per_minute,
            each.tokens_per_minute or config.tokens_per_minute,
            config.in_flight,
        )
        # Endpoints set their limits by key and model.
        known = _paces.setdefault(http, {})
        identity = (each.base_url, key, tuple(headers.items()), config.name, limits)
        pace = known.get(identity)
        if pace is None:
            pace = known[identity] = endpoints.Pace(*limits)
        made.append(
            endpoints.Endpoint(
                each.base_url, key=key, headers=headers, weight=each.weight, pace=pace
            )
        )
    if len({each.url for each in made}) < len(made):
        raise DefinitionError("model.endpoints: two of them have the same base_url")
    return made


def _key(variable: str | None, environ: Mapping[str, str], where: str) -> str | None:
    if variable is None:
        return None
    key = environ.get(variable, "").strip()
    if not key:
        state = "is empty" if variable in environ else "is not set"
        close = nearest(variable, environ)
        mend = f"; did you mean {close!r}?" if close and close != variable else ""
        raise DefinitionError(
            f"{where}: the environment variable {variable} {state}{mend} (null sends no key)"
        )
    _check_value(key, f"{where}: the value of {variable}")
    SECRETS.add(key)
    return key


def _check_value(value: str, where: str) -> None:
    """The message never holds the value."""
    if not value.isascii() or not value.isprintable():
        raise DefinitionError(f"{where} holds a character that no header can carry")


def _check_url(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        usable = usable and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise DefinitionError(
            f"{where}: expected a URL such as http://127.0.0.1:8000/v1, got {public_url(url)}"
        )


def _file(name: str, base_dir: Path | None) -> Path:
    file = (base_dir or Path()) / Path(name).expanduser()
    if file.is_file():
        return file
    folder = file.parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    close = nearest(file.name, names)
    mend = f"; did you mean {close!r}?" if close else ""
    raise DefinitionError(f"model.file: {display(file)} does not exist{mend}")
