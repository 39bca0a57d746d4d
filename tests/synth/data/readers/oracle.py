"""Outside readers behind JSON lines: run by the interpreter of `.cache/readers`.

A request is `{"do": ..., ...}`, the answer `{"ok": ...}` or `{"error": "..."}`.
"""

import json
import logging
import sys
import tempfile
import types
from functools import cache
from pathlib import Path
from typing import Any, Optional

from pydantic import BaseModel, TypeAdapter

UNPACKED = Path(__file__).parents[4] / ".cache" / "readers" / "unpacked"
DETECTORS = {
    "hermes": ("hermes_detector", "HermesDetector"),
    "qwen3-coder": ("qwen3_coder_detector", "Qwen3CoderDetector"),
    "deepseek-v3": ("deepseekv3_detector", "DeepSeekV3Detector"),
    "deepseek-v3.1": ("deepseekv31_detector", "DeepSeekV31Detector"),
    "kimi-k2": ("kimik2_detector", "KimiK2Detector"),
    "glm-4.5": ("glm4_moe_detector", "Glm4MoeDetector"),
    "minimax-m2": ("minimax_m2", "MinimaxM2Detector"),
    "llama-3.1": ("llama32_detector", "Llama32Detector"),
    "pythonic": ("pythonic_detector", "PythonicDetector"),
    "harmony": ("gpt_oss_detector", "GptOssDetector"),
    "mistral-v3": ("mistral_detector", "MistralDetector"),
}


class Function(BaseModel):
    name: str
    description: Optional[str] = None  # noqa: UP045
    parameters: Optional[dict[str, Any]] = None  # noqa: UP045


class Tool(BaseModel):
    type: str = "function"
    function: Function


class _Setting:
    def get(self) -> bool:
        return False


class _Settings:
    def __getattr__(self, name: str) -> _Setting:
        return _Setting()


def stub() -> None:
    """The packages around the parsers, without what they would import."""
    for name in ("sglang", "sglang.srt", "sglang.srt.function_call", "sglang.srt.parser",
                 "sglang.srt.entrypoints", "sglang.srt.entrypoints.openai", "harbor",
                 "harbor.models"):  # fmt: skip
        module = types.ModuleType(name)
        module.__path__ = [str(UNPACKED / name.replace(".", "/"))]
        sys.modules[name] = module
    protocol = types.ModuleType("sglang.srt.entrypoints.openai.protocol")
    protocol.Tool, protocol.ToolChoice, protocol.Function = Tool, Tool, Function  # type: ignore[attr-defined]
    sys.modules[protocol.__name__] = protocol
    environ = types.ModuleType("sglang.srt.environ")
    environ.envs = _Settings()  # type: ignore[attr-defined]
    sys.modules[environ.__name__] = environ


def calls(kind: str, text: str, tools: list[dict[str, Any]]) -> dict[str, Any]:
    """What SGLang's parser finds in an assistant's words."""
    module, name = DETECTORS[kind]
    detector = getattr(__import__(f"sglang.srt.function_call.{module}", fromlist=[name]), name)()
    found = detector.detect_and_parse(text, [Tool.model_validate(tool) for tool in tools])
    return {
        "text": found.normal_text,
        "calls": [[call.name, json.loads(call.parameters)] for call in found.calls],
    }


def template(name: str, messages: list[Any], tools: list[Any], **extra: Any) -> dict[str, Any]:
    """What TRL's copy of a model's chat template gives, and the spans that are the model's."""
    from transformers.utils.chat_template_utils import render_jinja_template  # noqa: PLC0415

    source = (UNPACKED / "trl" / "chat_templates" / f"{name}.jinja").read_text()
    rendered, spans = render_jinja_template(
        conversations=[messages], tools=tools or None, chat_template=source,
        return_assistant_tokens_mask="training" in name, **extra,
    )  # fmt: skip
    return {"text": rendered[0], "spans": spans[0] if spans else []}


def mistral(version: str, messages: list[Any], tools: list[Any]) -> str:
    from mistral_common.protocol.instruct.messages import ChatMessage  # noqa: PLC0415
    from mistral_common.protocol.instruct.request import InstructRequest  # noqa: PLC0415
    from mistral_common.protocol.instruct.tool_calls import Tool as MistralTool  # noqa: PLC0415

    adapter: TypeAdapter[Any] = TypeAdapter(ChatMessage)
    system = next((m["content"] for m in messages if m["role"] == "system"), None)
    if version == "v3":
        messages = [m for m in messages if m["role"] != "system"]
    request: Any = InstructRequest(
        messages=[adapter.validate_python(message) for message in messages],
        system_prompt=system if version == "v3" else None,
        available_tools=[MistralTool.model_validate(tool) for tool in tools] or None,
    )
    return str(tokenizer(version).encode_instruct(request).text)


@cache
def tokenizer(version: str) -> Any:
    """Of v3 the one that is shipped; of v11 one over the vocabulary of another, with its marks."""
    import mistral_common  # noqa: PLC0415
    from mistral_common.tokens.tokenizers.instruct import InstructTokenizerV11  # noqa: PLC0415
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer  # noqa: PLC0415
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer  # noqa: PLC0415

    if version == "v3":
        return MistralTokenizer.v3().instruct_tokenizer
    data = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    held = json.loads(data.read_text())
    known = [dict(token) for token in Tekkenizer.DEPRECATED_SPECIAL_TOKENS]
    known += [{"rank": 20 + n, "token_str": text, "is_control": True}
              for n, text in enumerate(("[ARGS]", "[CALL_ID]"))]  # fmt: skip
    held["special_tokens"] = known
    held["config"]["version"] = "v11"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "tekken.json"
        made.write_text(json.dumps(held))
        return InstructTokenizerV11(Tekkenizer.from_file(made))


def whole(value: Any) -> Any:
    """Every iterable gone through: pydantic validates those only as they are."""
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return value
    return [whole(each) for each in value]


def typed(kind: str, value: Any) -> Any:
    """Validated by a library's own types."""
    if kind == "openai":
        from openai.types.chat import ChatCompletionMessageParam  # noqa: PLC0415

        openai: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionMessageParam])
        return whole(openai.validate_python(value))
    if kind == "anthropic":
        from anthropic.types import MessageParam  # noqa: PLC0415

        # In a name: iterables are validated as they are gone through, by an adapter that must live.
        anthropic: TypeAdapter[Any] = TypeAdapter(list[MessageParam])
        return whole(anthropic.validate_python(value))
    from harbor.models.trajectories import Trajectory  # noqa: PLC0415

    return Trajectory.model_validate(value).to_json_dict()


def main() -> None:
    logging.disable(logging.CRITICAL)
    stub()
    verbs = {"calls": calls, "template": template, "mistral": mistral, "typed": typed}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": verbs[request.pop("do")](**request)}
            text = json.dumps(answer)
        except Exception as error:  # noqa: BLE001  # the reader's own judgement: it is told
            text = json.dumps({"error": f"{type(error).__name__}: {error}"})
        print(text, flush=True)


if __name__ == "__main__":
    main()
