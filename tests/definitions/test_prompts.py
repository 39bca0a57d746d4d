"""System prompts: what they may do, and what is said when they fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexau.definitions.prompts import compile_prompt, render
from nexau.definitions.values import DefinitionError, Prompt

Write = Callable[..., Path]


def fails(text: str, source: str | None = None, **variables: Any) -> str:
    with pytest.raises(DefinitionError) as caught:
        render(Prompt(text, source), "do it", variables)
    return str(caught.value)


def test_task_and_variables() -> None:
    text = "{{ task }} as {{ role }}{% for x in items %} {{ x.name }}{% endfor %}\n"
    variables = {"role": "cook", "items": [{"name": "a"}, {"name": "b"}], "task": "hidden"}
    assert render(Prompt(text), "Boil <it>", variables) == "Boil <it> as cook a b\n"


def test_text_without_markup_is_untouched() -> None:
    prompt = Prompt("Plain {text} } with % braces\n\n")
    assert compile_prompt(prompt) is None
    assert render(prompt, "t", {}) is prompt.text


def test_compiled_once() -> None:
    assert compile_prompt(Prompt("{{ a }}")) is compile_prompt(Prompt("{{ a }}"))


def test_one_rendering_leaves_nothing_to_the_next() -> None:
    prompt = Prompt("{% set n = n | default(0) + 1 %}{{ n }}")
    assert [render(prompt, "t", {}) for _ in range(2)] == ["1", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n{{ usr }}", "the system prompt, line 2: no variable 'usr'; did you mean 'user'?"),
        ("{{ tsk }}", "the system prompt, line 1: no variable 'tsk'; did you mean 'task'?"),
        ("{{ user.nam }}", "the system prompt, line 1: no 'nam' in it; did you mean 'name'?"),
        ("{{ user['x'] }}", "the system prompt, line 1: no 'x' in it; it has: name"),
        ("{{ user.name.first }}", "line 1: 'str object' has no attribute 'first'"),
        ("{% if usr %}{% endif %}", "the system prompt, line 1: no variable 'usr'; did you mean"),
        ("\n\n{% for %}", "the system prompt, line 3: Expected an expression"),
        ("{{ 1 = 2 }}", "the system prompt, line 1: expected token"),
        ("{{ a | nothing }}", "the system prompt, line 1: No filter named 'nothing'"),
        ("{{ 1 / 0 }}", "the system prompt, line 1: ZeroDivisionError"),
        ("{{ 1 + 'a' }}", "the system prompt, line 1: TypeError"),
        ("{{ [1][5] }}", "list object has no element 5"),
        ("{{ 'x'.encode('latin-1', 3) }}", "the system prompt, line 1: TypeError"),
        ("{% include 'x.md' %}", "only a prompt in a file of its own can include others"),
        ("{% extends 'x.md' %}", "only a prompt in a file of its own can include others"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
    ],
)
def test_errors_have_their_place(text: str, message: str) -> None:
    assert message in fails(text, user={"name": "n"})


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ task.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ items.append(1) }}",
        "{{ self.__init__ }}",
        "{{ cycler.__init__ }}",
        "{{ lipsum() }}",
    ],
)
def test_the_sandbox(text: str) -> None:
    fails(text, items=[])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
            "turns of loops",
        ),
        ("{{ range(10**30) }}", "a range of more than"),
        (
            "{% for a in s %}{% for b in s %}{% for c in s %}{% endfor %}{% endfor %}{% endfor %}",
            "turns of loops",
        ),
        (
            "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{m(60)}}",
            "turns of loops",
        ),
        (
            (
                "{% set t = namespace(s='x') %}{% for i in range(60) %}{% set t.s = t.s ~ t.s %}"
                "{% endfor %}"
            ),
            "longer than",
        ),
        (
            (
                "{% set t = namespace(s='x') %}{% for i in range(60) %}{% set t.s = t.s + t.s %}"
                "{% endfor %}"
            ),
            "longer than",
        ),
        (
            (
                "{% set t = namespace(n=9) %}{% for i in range(60) %}{% set t.n = t.n * t.n %}"
                "{% endfor %}"
            ),
            "a product that is too large",
        ),
        ("{{ 'x'.center(10**9) }}", "longer than"),
        ("{{ 'x' | center(10**9) }}", "longer than"),
        ("{{ 'x'.ljust(width=10**9) }}", "longer than"),
        ("{{ (s * 1000).replace('x', s) }}", "longer than"),
        ("{{ (s * 1000) | replace('x', s) }}", "longer than"),
        ("{{ '%999999999d' % 1 }}", "a width"),
        ("{{ '%*d' % (10**9, 1) }}", "a width"),
        ("{{ '{:>999999999}'.format(1) }}", "a width"),
        ("{{ '{:>{}}'.format(1, 10**9) }}", "a width"),
        ("{{ s.translate({120: s}) }}", "translate"),
        ("{{ [s] | tojson(indent=10**9) }}", "an indentation"),
        ("{{ s.join([s] * 10000) }}", "longer than"),
        ("{{ ([s] * 10000) | join(s) }}", "longer than"),
        ("{{ s | slice(10**8) | list }}", "pieces"),
        ("{{ (1).to_bytes(10**9, 'big') }}", "longer than"),
        ("{% for i in range(900000) %}xxxxxxxx{% endfor %}", "longer than 4,000,000 characters"),
        ("{{ 'x' * 10000000000 }}", "a repetition that is too long"),
        ("{{ 10000000000 * [1] }}", "a repetition that is too long"),
        ("{{ 9 ** 9 ** 9 }}", "a power that is too large"),
    ],
)
def test_bombs(text: str, message: str) -> None:
    assert message in fails(text, s="x" * 2000)


def test_ordinary_arithmetic() -> None:
    text = "{{ 2 ** 10 }} {{ 3 * 4 }} {{ '-' * 3 }} {{ range(3) | list }} {{ 2.5 * 2 }}"
    assert render(Prompt(text), "t", {}) == "1024 12 --- [0, 1, 2] 5.0"


def test_includes(write: Write) -> None:
    write("parts/rules.md", "Rules for {{ role }}{% include 'parts/end.md' %}")
    write("parts/end.md", ".")
    main = write("main.md", "{% include 'parts/rules.md' %}")
    prompt = Prompt(main.read_text(), str(main))
    assert render(prompt, "t", {"role": "cooks"}) == "Rules for cooks."
    message = fails(prompt.text, prompt.source, roel=1)
    assert message == "parts/rules.md:1: no variable 'role'; did you mean 'roel'?"


def test_includes_are_read_when_the_prompt_is_compiled(write: Write) -> None:
    part = write("part.md", "x")
    prompt = Prompt("{% include 'part.md' %}", str(write("main.md", "")))
    compile_prompt(prompt)
    part.unlink()
    assert render(prompt, "t", {}) == "x"


def test_includes_that_fail(write: Write) -> None:
    source = str(write("here/main.md", ""))
    write("secret.md", "")
    write("here/part.md", "a\n{% if %}")
    (Path("here") / "link.md").symlink_to(Path("secret.md").resolve())
    for name in ("../secret.md", "/etc/passwd", "link.md", str(Path("secret.md").resolve())):
        assert "lies outside 'here'" in fails(f"{{% include {name!r} %}}", source)
    assert "did you mean 'part.md'?" in fails("{% include 'prt.md' %}", source)
    assert fails("{% include 'part.md' %}", source).startswith("here/part.md:2: ")
    assert "No such file" in fails("{% include 'a/' ~ task %}", source)
    gone = str(Path("gone/main.md").resolve())
    assert "No such file" in fails("{% include 'x.md' %}", gone)


def test_a_prompt_that_includes_itself(write: Write) -> None:
    text = "{% include 'main.md' %}"
    assert "RecursionError" in fails(text, str(write("main.md", text)))
