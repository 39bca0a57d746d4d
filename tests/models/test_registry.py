"""From a model's configuration to the policy."""

from pathlib import Path
from typing import Any

import pytest

from nexau.definitions.values import (
    DefinitionError,
    ModelConfig,
    OpenAIModel,
    PlanModel,
    ReplayModel,
    ScriptModel,
)
from nexau.models.base import ModelRequest, UserMessage
from nexau.models.openai import OpenAIChat
from nexau.models.plan import PlanPolicy
from nexau.models.registry import open_model
from nexau.models.script import ScriptPolicy

pytestmark = pytest.mark.anyio

ANSWER: Any = (200, {}, {"choices": [{"message": {"content": "hi"}}]})


def opened(config: ModelConfig, http: Any, base: Path | None = None, **environ: str) -> Any:
    return open_model(config, base_dir=base, http=http, environ=environ)


async def test_the_key_and_headers_come_from_the_environment(played_http: Any) -> None:
    http = played_http(ANSWER)
    config = OpenAIModel("m", "http://h", "MY_KEY", headers={"X-Team": "team ${TEAM}"})
    model = opened(config, http, MY_KEY=" canary-key\n", TEAM="red")
    assert isinstance(model, OpenAIChat)
    await model.turn(ModelRequest([UserMessage("hi")]))
    assert http.headers[0]["authorization"] == "Bearer canary-key"
    assert http.headers[0]["x-team"] == "team red"


async def test_no_key(played_http: Any) -> None:
    http = played_http(ANSWER)
    await opened(OpenAIModel("m", "http://h", None), http).turn(ModelRequest([UserMessage("hi")]))
    assert "authorization" not in http.headers[0]


@pytest.mark.parametrize(
    ("config", "environ", "says"),
    [
        (OpenAIModel("m"), {}, "OPENAI_API_KEY is not set"),
        (OpenAIModel("m"), {"OPENAI_API_KEY": " "}, "OPENAI_API_KEY is empty"),
        (OpenAIModel("m", api_key_env="MY_KEY"), {"MI_KEY": "canary"}, "did you mean 'MI_KEY'?"),
        (OpenAIModel("m"), {"OPENAI_API_KEY": "canary\nx"}, "OPENAI_API_KEY holds a character"),
        (OpenAIModel("m", api_key_env=None, headers={"X": "${T}"}), {}, "model.headers.X: "),
        (OpenAIModel("m", api_key_env=None, headers={"X": "${T}"}), {"T": "canary\r\n"},
         "model.headers.X holds a character"),
        (OpenAIModel("m", api_key_env=None, headers={"a b": "c"}), {}, "'a b' is not a name"),
        (OpenAIModel("m", "h:80/v1", None), {}, "expected a URL such as"),
        (OpenAIModel("m", "http://u:canary@h:x/", None), {}, "expected a URL such as"),
        (OpenAIModel("m", "http://h", None, extra_body={"messages": []}), {}, "'messages' is set"),
    ],
)  # fmt: skip
def test_configurations_that_cannot_be_used(
    played_http: Any, config: ModelConfig, environ: dict[str, str], says: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        open_model(config, base_dir=None, http=played_http(), environ=environ)
    assert says in str(caught.value)
    assert "canary" not in str(caught.value)


async def test_files_start_at_the_agent_file(played_http: Any, tmp_path: Path) -> None:
    (tmp_path / "turns.yaml").write_text("- {content: hi}\n")
    model = opened(ScriptModel("turns.yaml"), played_http(), tmp_path)
    assert isinstance(model, ScriptPolicy)
    assert (await model.turn(ModelRequest(()))).content == "hi"
    absolute = ScriptModel(str(tmp_path / "turns.yaml"))
    assert isinstance(opened(absolute, played_http(), Path("elsewhere")), ScriptPolicy)


@pytest.mark.parametrize("config", [ScriptModel("turn.yaml"), ReplayModel("turn.yaml")])
def test_a_file_that_is_not_there(played_http: Any, tmp_path: Path, config: ModelConfig) -> None:
    (tmp_path / "turns.yaml").touch()
    with pytest.raises(DefinitionError, match=r"does not exist; did you mean 'turns\.yaml'\?"):
        opened(config, played_http(), tmp_path)


def test_the_plan_policy(played_http: Any) -> None:
    assert isinstance(opened(PlanModel(latency=1.0), played_http()), PlanPolicy)
