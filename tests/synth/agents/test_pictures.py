"""`nexau synth show` and `stats`, by the command."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nexau.cli.main import app
from nexau.synth.drawing import Box, Picture, Text, wrapped

ROOT = Path(__file__).parents[3]
WORLD = ROOT / "examples" / "worlds" / "retail-returns.yaml"


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["synth", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result
    return result


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "run"
    done = call("agents", "Returns and refunds", "--tools", str(WORLD), "--n", "12",
                "--smoke", "none", "--out", str(out))  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == 12
    return out


def test_a_hierarchy_is_drawn(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "index.jsonl").read_text().splitlines()[3])
    out = tmp_path / "x.svg"
    assert call("show", str(run / record["file"]), "--out", str(out)).exit_code == 0
    root = ET.fromstring(out.read_text())
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == record["agents"] + 1
    assert len(root.findall(f"{space}path")) == record["agents"] - 1
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for box in root.findall(f"{space}rect")[1:]:
        assert float(box.attrib["x"]) + float(box.attrib["width"]) <= width
        assert float(box.attrib["y"]) + float(box.attrib["height"]) <= height
    assert call("show", str(run / record["file"])).stdout == out.read_text()


def test_a_world_is_drawn_as_png(tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    assert call("show", str(WORLD), "--out", str(out)).exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nothing.yaml"], "no file nothing.yaml"),
        (["show", str(WORLD), "--out", "x.gif"], "expected a name in .svg or .png"),
        (["show", str(WORLD), "--out", "nowhere/x.svg"], "no directory nowhere"),
        (["stats", "nowhere"], "no folder nowhere"),
        (["stats", str(ROOT / "docs")], "holds neither a run"),
        (["agents", " ", "--tools", "x"], "SPEC is empty"),
        (["agents", "x"], "--tools: name a catalog"),
        (["agents", "x", "--tools", "nothing.yaml"], "no file nothing.yaml"),
        (["agents", "x", "--tools", "nothing"], "no server 'nothing'"),
        (["agents", "x", "--tools", str(WORLD), "--smoke", "some"], "--smoke: expected"),
        (["agents", "x", "--tools", str(WORLD), "--model", "script:x"], "--model: expected"),
        (
            ["agents", "x", "--tools", str(WORLD), "--matching", "embeddings"],
            "pip install --no-deps",
        ),
        (["agents", "x", "--tools", str(WORLD), "--tools", str(WORLD)], "have one name"),
    ],
)
def test_wrong_input_is_told(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_stats_of_hierarchies_and_of_worlds(run: Path) -> None:
    found = json.loads(call("stats", str(run)).stdout)
    assert found["count"] == 12
    assert found["distinct_trees_with_tools"]["value"] == 1
    assert 1 < found["vendi"] <= 12
    assert found["vendi_of_6"]["low"] <= found["vendi_of_6"]["high"]
    assert sum(found["agents_histogram"].values()) == 12
    assert 0 < found["tool_coverage"]["value"] <= 1
    assert call("stats", str(run)).stdout == call("stats", str(run)).stdout
    worlds = json.loads(call("stats", str(WORLD.parent)).stdout)
    assert worlds["kind"] == "worlds"


def test_texts_are_wrapped_and_escaped() -> None:
    assert wrapped("aaa bbb ccc ddd", 40, 10, 9) == ["aaa bbb", "ccc ddd"]
    assert wrapped("aaa bbb ccc ddd eee", 40, 10, 2)[-1].endswith("\u2026")
    picture = Picture(20, 20, [], [Box(0, 0, 1, 1, "#fff", "#000")], [Text(0, 0, "<a & \x07 b>")])
    assert ET.fromstring(picture.svg()) is not None
