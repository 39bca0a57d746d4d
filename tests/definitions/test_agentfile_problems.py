"""Everything that can be wrong with an agent file: one clear problem each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nexau.definitions.agentfile import check_agent, load_agent
from nexau.files.problems import AgentFileError

Write = Callable[..., Path]

HEAD = "name: a\nmodel: plan\n"


def problems(path: Path) -> list[str]:
    found = [str(each) for each in check_agent(path, environ={})]
    if check_agent(path, environ=None):
        with pytest.raises(AgentFileError):
            load_agent(path)
    return found


CASES: dict[str, tuple[str, str]] = {
    # name: (file, the only problem)
    "unknown key": (
        HEAD + "tols: []",
        "a.yaml:3:1: tols: unknown key 'tols'; did you mean 'tools'?",
    ),
    "unknown key, case": (
        HEAD + "Limits: {}",
        "a.yaml:3:1: Limits: unknown key 'Limits'; did you mean 'limits'?",
    ),
    "unknown key, nothing near": (
        HEAD + "limits: {zzz: 1}",
        ("a.yaml:3:10: limits.zzz: unknown key 'zzz'; valid keys: cost, depth, parallel_calls,"
        " seconds, steps, tokens"),
    ),
    "missing name": ("model: plan", "a.yaml:1:1: missing key 'name'"),
    "missing model": (
        "name: a",
        "a.yaml:1:1: missing key 'model': only a sub-agent has one to inherit",
    ),
    "null model": (
        "name: a\nmodel:",
        "a.yaml:1:1: missing key 'model': only a sub-agent has one to inherit",
    ),
    "null name": ("name:\nmodel: plan", "a.yaml:1:1: name: expected text, got nothing"),
    "number for text": (
        "name: 3\nmodel: plan",
        "a.yaml:1:1: name: expected text, got 3; put it in quotes",
    ),
    "list for text": ("name: []\nmodel: plan", "a.yaml:1:1: name: expected text, got a list"),
    "text for list": (
        HEAD + "agents: x.yaml",
        "a.yaml:3:1: agents: expected a list, got the text 'x.yaml'",
    ),
    "text for number": (
        HEAD + "limits: {seconds: soon}",
        "a.yaml:3:10: limits.seconds: expected a number, got the text 'soon'",
    ),
    "fraction for count": (
        HEAD + "limits: {steps: 1.5}",
        "a.yaml:3:10: limits.steps: expected a whole number, got 1.5",
    ),
    "yes for true": (
        "name: a\nmodel: {kind: openai, name: x, stream: yes}",
        "a.yaml:2:32: model.stream: expected true or false, got the text 'yes'",
    ),
    "negative limit": (
        HEAD + "limits: {cost: -0.1}",
        "a.yaml:3:10: limits.cost: expected a number not less than 0, got -0.1",
    ),
    "zero seconds": (
        HEAD + "limits: {seconds: 0}",
        "a.yaml:3:10: limits.seconds: expected a number greater than 0, got 0.0",
    ),
    "jitter above one": (
        HEAD + "supervision: {backoff: {jitter: 2}}",
        "a.yaml:3:25: supervision.backoff.jitter: expected a number not greater than 1, got 2.0",
    ),
    "not a number": (
        HEAD + "limits: {seconds: .nan}",
        "a.yaml:3:19: limits.seconds: .nan is not a finite number",
    ),
    "infinite": (
        HEAD + "limits: {seconds: -.inf}",
        "a.yaml:3:19: limits.seconds: -.inf is not a finite number",
    ),
    "too large": (
        HEAD + "limits: {steps: 99999999999999999999}",
        "a.yaml:3:17: limits.steps: the number does not fit into 64 bits",
    ),
    "bad name": (
        "name: my agent\nmodel: plan",
        ("a.yaml:1:1: name: expected a letter or _, then up to 63 of A-Z a-z 0-9 _ -,"
        " got the text 'my agent'"),
    ),
    "bad restart": (
        HEAD + "supervision: {restart: allways}",
        ("a.yaml:3:15: supervision.restart: unknown value 'allways'; one of: permanent, temporary,"
        " transient"),
    ),
    "backoff turned round": (
        HEAD + "supervision: {backoff: {min: 20}}",
        "a.yaml:3:15: supervision.backoff: min is greater than max",
    ),
    "unknown model": (
        "name: a\nmodel: gpt-5",
        ("a.yaml:2:1: model: unknown model 'gpt-5'; expected plan, openai:NAME, script:FILE or"
        " replay:FILE; to name a model, write openai:gpt-5"),
    ),
    "misspelt model": (
        "name: a\nmodel: opnai:x",
        ("a.yaml:2:1: model: unknown model 'opnai:x'; expected plan, openai:NAME, script:FILE or"
        " replay:FILE; did you mean 'openai'?"),
    ),
    "unknown kind": (
        "name: a\nmodel: {kind: opnai}",
        "a.yaml:2:9: model.kind: unknown kind 'opnai'; did you mean 'openai'?",
    ),
    "missing kind": (
        "name: a\nmodel: {name: x}",
        "a.yaml:2:1: model: missing key 'kind': one of openai, plan, replay, script",
    ),
    "bad base_url": (
        "name: a\nmodel: {kind: openai, name: x, base_url: 'localhost:80'}",
        "a.yaml:2:32: model.base_url: expected an http(s) URL, got the text 'localhost:80'",
    ),
    "missing script": (
        "name: a\nmodel: script:tuns.yaml",
        "a.yaml:2:1: model: no file tuns.yaml; did you mean 'turns.yaml'?",
    ),
    "bad script": (
        "name: a\nmodel: script:bad.turns.yaml",
        "bad.turns.yaml:1:4: [0].contnt: unknown key 'contnt'; did you mean 'content'?",
    ),
    "missing prompt": (
        HEAD + "system_prompt: {file: promt.md}",
        "a.yaml:3:17: system_prompt.file: no file promt.md; did you mean 'prompt.md'?",
    ),
    "prompt not UTF-8": (
        HEAD + "system_prompt: {file: latin.md}",
        "a.yaml:3:17: system_prompt.file: latin.md is not valid UTF-8",
    ),
    "bad template": (
        HEAD + "system_prompt: 'a {% if %}'",
        ("a.yaml:3:1: system_prompt: the system prompt, line 1: Expected an expression, got 'end of"
        " statement block'"),
    ),
    "bad template file": (
        HEAD + "system_prompt: {file: bad.md}",
        "a.yaml:3:17: system_prompt.file: bad.md:2: Encountered unknown tag 'fi'.",
    ),
    "unknown server": (
        HEAD + "mcp_servers: {notes: {command: x}}\ntools: [{mcp: notes}, {mcp: note}]",
        ("a.yaml:4:24: tools[1].mcp: no server 'note' in mcp_servers of this agent or of one above"
        " it; did you mean 'notes'?"),
    ),
    "server of a sibling": (
        HEAD + "agents: [{name: b, mcp_servers: {s: {command: x}}, tools: [{mcp: s}]},"
        " {name: c, tools: [{mcp: s}]}]",
        ("a.yaml:3:91: agents[1].tools[0].mcp: no server 's' in mcp_servers of this agent or of one"
        " above it; there are none"),
    ),
    "unused server": (
        HEAD + "mcp_servers: {s: {command: x}}",
        "a.yaml:3:15: mcp_servers.s: no agent uses this server",
    ),
    "server of no kind": (
        HEAD + "mcp_servers: {s: {comand: x}}\ntools: [{mcp: s}]",
        ("a.yaml:3:15: mcp_servers.s: expected a mapping with `command` or `url`; did you mean"
        " 'command'?"),
    ),
    "server by a bad name": (
        HEAD + "mcp_servers: {my server: {command: x}}\ntools: [{mcp: my server}]",
        ("a.yaml:3:15: mcp_servers['my server']: expected a name of a letter or _, then up to 63 of"
        " A-Z a-z 0-9 _ -, got 'my server'"),
    ),
    "no such cwd": (
        HEAD + "mcp_servers: {s: {command: x, cwd: foldr}}\ntools: [{mcp: s}]",
        "a.yaml:3:31: mcp_servers.s.cwd: no directory foldr; did you mean 'folder'?",
    ),
    "args without command": (
        HEAD + "mcp_servers: {s: {url: 'http://h/', args: [x]}}\ntools: [{mcp: s}]",
        "a.yaml:3:37: mcp_servers.s.args: args is for a server with a command",
    ),
    "port that nobody hears of": (
        HEAD + "mcp_servers: {s: {url: 'http://h:{port}/', command: x}}\ntools: [{mcp: s}]",
        ("a.yaml:3:15: mcp_servers.s.args: the url has {port}, but no item of args tells the server"
        " which it is"),
    ),
    "scheme": (
        HEAD + "mcp_servers: {s: {url: 'ws://h/'}}\ntools: [{mcp: s}]",
        "a.yaml:3:19: mcp_servers.s.url: expected http://... or https://..., got 'ws://h/'",
    ),
    "pool turned round": (
        HEAD + "mcp_servers: {s: {command: x, pool: {min: 3, max: 2}}}\ntools: [{mcp: s}]",
        "a.yaml:3:38: mcp_servers.s.pool.min: min is greater than max",
    ),
    "more spares than sessions": (
        HEAD + "mcp_servers: {s: {command: x, sessions: rollout, pool: {spares: 3, max: 2}}}\n"
        "tools: [{mcp: s}]",
        "a.yaml:3:57: mcp_servers.s.pool.spares: spares is greater than max",
    ),
    "spares of a shared server": (
        HEAD + "mcp_servers: {s: {command: x, pool: {spares: 3}}}\ntools: [{mcp: s}]",
        (
            "a.yaml:3:38: mcp_servers.s.pool.spares: spares are for sessions: rollout;"
            " a shared server has one session"
        ),
    ),
    "no number of calls": (
        HEAD + "mcp_servers: {s: {command: x, in_flight: autto}}\ntools: [{mcp: s}]",
        "a.yaml:3:31: mcp_servers.s.in_flight: unknown value 'autto'; did you mean 'auto'?",
    ),
    "variable not set": (
        HEAD + "mcp_servers: {s: {command: x, env: {K: 'a${NOPE}'}}}\ntools: [{mcp: s}]",
        "a.yaml:3:37: mcp_servers.s.env.K: the environment variable NOPE is not set",
    ),
    "malformed placeholder": (
        HEAD + "mcp_servers: {s: {url: 'http://${'}}\ntools: [{mcp: s}]",
        ("a.yaml:3:19: mcp_servers.s.url: malformed placeholder: expected ${NAME}, or $${ for a"
        " literal ${"),
    ),
    "regular expression": (
        HEAD + "mcp_servers: {s: {command: x}}\ntools: [{mcp: s, include: ['get_.*']}]",
        ("a.yaml:4:28: tools[0].include[0]: 'get_.*' is no shell pattern for names of tools: *"
        " stands for text, ? for one character, [a-z] for one of a range"),
    ),
    "open bracket": (
        HEAD + "mcp_servers: {s: {command: x}}\ntools: [{mcp: s, exclude: ['a[b']}]",
        "a.yaml:4:28: tools[0].exclude[0]: 'a[b': a [ without its ]",
    ),
    "nothing included": (
        HEAD + "mcp_servers: {s: {command: x}}\ntools: [{mcp: s, include: []}]",
        "a.yaml:4:18: tools[0].include: expected at least one item",
    ),
    "tool of no kind": (
        HEAD + "tools: [{pyton: 'tools:search'}]",
        "a.yaml:3:9: tools[0]: expected a mapping with `mcp` or `python`; did you mean 'python'?",
    ),
    "no colon": (
        HEAD + "tools: [search]",
        "a.yaml:3:9: tools[0]: expected module:function, got 'search'",
    ),
    "no such module": (
        HEAD + "tools: ['tolls:search']",
        "a.yaml:3:9: tools[0]: no module 'tolls', in . or installed; did you mean 'tools'?",
    ),
    "no such function": (
        HEAD + "tools: [{python: 'tools:serch'}]",
        "a.yaml:3:10: tools[0].python: the module tools.py has no 'serch'; did you mean 'search'?",
    ),
    "not a function": (
        HEAD + "tools: ['tools:LIMIT']",
        "a.yaml:3:9: tools[0]: tools:LIMIT is not a function but int",
    ),
    "no type hint": (
        HEAD + "tools: ['tools:unhinted']",
        "a.yaml:3:9: tools[0]: tools:unhinted: the parameter 'x' has no type hint",
    ),
    "import that fails": (
        HEAD + "tools: ['broken:f']",
        "a.yaml:3:9: tools[0]: importing broken: broken.py:3: ZeroDivisionError: division by zero",
    ),
    "two tools of a name": (
        HEAD + "tools: ['tools:search', {python: 'tools:other', name: search}]",
        "a.yaml:3:25: tools[1]: the name 'search' is taken by tools[0]",
    ),
    "tool and agent of a name": (
        HEAD + "tools: ['tools:search']\nagents: [{name: search}]",
        "a.yaml:4:10: agents[0]: the name 'search' is taken by tools[0]",
    ),
    "siblings of a name": (
        HEAD + "agents: [{name: b}, {name: b}]",
        "a.yaml:3:21: agents[1]: the name 'b' is taken by agents[0]",
    ),
    "no such agent file": (
        HEAD + "agents: [{path: chld.yaml}]",
        "a.yaml:3:11: agents[0].path: no file chld.yaml; did you mean 'child.yaml'?",
    ),
    "directory for a file": (
        HEAD + "agents: [folder]",
        "a.yaml:3:10: agents[0]: folder is a directory",
    ),
    "self": (HEAD + "agents: [a.yaml]", "a.yaml:3:10: agents[0]: a cycle: a.yaml -> a.yaml"),
    "duplicate key": (
        HEAD + "limits: {steps: 1}\nlimits: {steps: 2}",
        "a.yaml:4:1: limits: the key 'limits' stands twice: see line 3",
    ),
    "number as key": (HEAD + "3: x", "a.yaml:3:1: a key must be text; put it in quotes"),
    "tag": (
        HEAD + "description: !!python/name:os.system x",
        ("a.yaml:3:14: description: the tag 'tag:yaml.org,2002:python/name:os.system' is not"
        " allowed"),
    ),
    "tab": (HEAD + "limits:\n\tsteps: 1", ("a.yaml:4:1: not valid YAML: a tab; YAML is indented"
            " with spaces")),
    "second document": (HEAD + "---\n", "a.yaml:3:1: a second document; a file holds one"),
    "empty": ("# nothing\n", "a.yaml: the file is empty"),
    "list": ("[]", "a.yaml:1:1: expected a mapping with `name`, got a list"),
    "alias of nothing": (
        HEAD + "description: *x",
        "a.yaml:3:14: no anchor &x stands complete before this alias",
    ),
    "alias of itself": (
        HEAD + "agents: &x [*x]",
        "a.yaml:3:13: no anchor &x stands complete before this alias",
    ),
}  # fmt: skip


@pytest.fixture
def folder(write: Write) -> Write:
    write("tools.py", "LIMIT = 3\ndef search(q: str): ...\ndef other(q: str): ...\n"
                      "def unhinted(x): ...\n")  # fmt: skip
    write("broken.py", "def f(): ...\n\n1 / 0\n")
    write("prompt.md", "")
    write("latin.md", b"\xe9")
    write("bad.md", "a\n{% fi %}\n")
    write("turns.yaml", "[]")
    write("bad.turns.yaml", "- {contnt: x}")
    write("child.yaml", "name: child\n")
    write("folder/x", "")
    return write


@pytest.mark.parametrize("case", CASES)
def test_one_problem(folder: Write, case: str) -> None:
    text, wanted = CASES[case]
    assert problems(folder("a.yaml", text)) == [wanted]


def test_all_of_them_at_once(folder: Write) -> None:
    path = folder("a.yaml", "nam: a\nmodel: plam\ntools: [x, 'tools:serch', {mcp: s}]\nlimits: 3\n")
    assert [each.path for each in check_agent(path)] == [
        "nam", "", "model", "tools[0]", "tools[1]", "tools[2].mcp", "limits"
    ]  # fmt: skip


def test_cycle_through_files_is_shown(write: Write) -> None:
    write("b.yaml", "name: b\nagents: [{path: deep/c.yaml}]\n")
    write("deep/c.yaml", "name: c\nagents: [{name: d, agents: [../b.yaml]}]\n")
    path = write("a.yaml", HEAD + "agents: [b.yaml]\n")
    assert problems(path) == [
        "deep/c.yaml:2:29: agents[0].agents[0]: a cycle: b.yaml -> c.yaml -> b.yaml"
    ]


def test_a_problem_in_a_child_names_the_childs_file(write: Write) -> None:
    write("sub/b.yaml", "name: b\nsystem_prompt: {file: x.md}\ntools: [{mcp: s}]\n")
    path = write("a.yaml", HEAD + "agents: [sub/b.yaml]\nmcp_servers: {t: {command: x}}\n")
    assert problems(path) == [
        "a.yaml:4:15: mcp_servers.t: no agent uses this server",
        "sub/b.yaml:2:17: system_prompt.file: no file sub/x.md; there are: b.yaml",
        (
            "sub/b.yaml:3:10: tools[0].mcp: no server 's' in mcp_servers of this agent or of one"
            " above it; there are: t"
        ),
    ]


def test_servers_are_not_called_unused_where_a_user_could_not_be_read(write: Write) -> None:
    for users in (
        "tools: [{mpc: s}]",
        "agents: [gone.yaml]",
        "tools: {mcp: s}",
        "tools: [{mcp: 3}]",
    ):
        path = write("a.yaml", HEAD + "mcp_servers: {s: {command: x}}\n" + users)
        assert not any("no agent uses" in each for each in problems(path))
        assert len(problems(path)) == 1


def test_no_such_file(write: Write) -> None:
    write("agent.yaml", HEAD)
    assert problems(Path("agnet.yaml")) == ["agnet.yaml: no such file; did you mean 'agent.yaml'?"]
    assert problems(Path("a\0b.yaml")) == ["a\0b.yaml: no such file"]
    assert problems(Path("x" * 5000))[0].endswith("cannot be read: File name too long")
    assert problems(Path())[0].endswith("cannot be read: Is a directory")


def test_invalid_utf8(write: Write) -> None:
    assert problems(write("a.yaml", b"name: a\nmodel: \xff")) == ["a.yaml:2:8: not valid UTF-8"]
    assert problems(write("a.yaml", "name: a".encode("utf-16")))[0].endswith("not valid UTF-8")


def test_control_characters(write: Write) -> None:
    assert problems(write("a.yaml", b"name: a\nmodel: \x07")) == [
        "a.yaml:2:1: the character '\\x07' is not allowed in YAML"
    ]


def test_paths_that_no_system_call_takes(write: Write) -> None:
    for text in ("agents: [\"a\\0b\"]", f"agents: [{'x' * 5000}]", "system_prompt: {file: \"\\0\"}",
                 f"system_prompt: {{file: {'x' * 5000}}}"):  # fmt: skip
        assert len(problems(write("a.yaml", HEAD + text))) == 1


def test_huge_file(write: Write) -> None:
    path = write("a.yaml", HEAD + "#" * 1_000_000)
    assert problems(path) == ["a.yaml: the file has more than 1,000,000 bytes"]


def test_deep_nesting(write: Write) -> None:
    assert "nested deeper than 64" in problems(write("a.yaml", "[" * 900_000))[0]
    assert "nested deeper than 64" in problems(write("b.yaml", "- " * 400_000))[0]
    levels = "".join(f"a{n}: &a{n} {'[' * 50}{f'*a{n - 1}' if n else ''}{']' * 50}\n"
                     for n in range(3))  # fmt: skip
    assert "nested deeper than 64" in problems(write("c.yaml", levels))[0]


def test_alias_bomb(write: Write) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    found = problems(write("a.yaml", "\n".join(lines)))
    assert found[-1].endswith("more than 50,000 values, aliases included")


def test_bomb_of_agent_files(write: Write) -> None:
    for n in range(20):
        nested = f"agents: [b{n + 1}.yaml, {{path: b{n + 1}.yaml, name: again}}]" if n < 19 else ""
        write(f"b{n}.yaml", f"name: b\nmodel: plan\n{nested}\n")
    assert any("more than 1,000 agents" in each for each in problems(Path("b0.yaml")))


def test_chain_of_agent_files(write: Write) -> None:
    for n in range(50):
        write(f"b{n}.yaml", f"name: b\nmodel: plan\nagents: [b{n + 1}.yaml]\n")
    assert problems(Path("b0.yaml")) == [
        "b31.yaml:3:1: agents: more than 1,000 agents or 32 levels"
    ]
