"""Secrets in lines and texts: found in every form, and nothing else touched."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest
from hypothesis import example, given, strategies as st

from nexau.secrets.forms import FORMS, REDACTED
from nexau.secrets.redaction import SHORTEST, Secrets
from nexau.spill import Spill
from nexau.transports.protocol import File, Result, Text

KEYS = {
    "openai": "sk-proj-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7",
    "anthropic": "sk-ant-api03-Zq8_x-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7",
    "stripe": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "github": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github fine": "github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVw",
    "gitlab": "glpat-aB3dE6gH9jK2mN5pQ8sT",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "google": "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "oauth": "ya29.a0AfH6SMBx1234567890abcdef",
    "slack": "xoxb-123456789012-abcdefGHIJ",
    "hugging face": "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345",
    "npm": "npm_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
    "pypi": "pypi-AgEIcHlwaS5vcmcCJGFiY2RlZmdoLTEyMzQtNTY3OC05",
    "sendgrid": "SG.aBcDeFgHiJkLmNoPqRsTuV.aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789aBcDeFg",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9Pl",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow/+IBAAK=\nabc\n-----END RSA PRIVATE KEY-----",
    "bearer": "Bearer 0123456789abcdef0123",
    "url": "postgres://app:hunter2hunter2@db.internal:5432/x",
}
TELLING = {"pem": ("MIIE", "abc"), "bearer": ("0123456789",), "url": ("app", "hunter2")}
"""What must be gone, where that is not the whole."""


def clean_value(secrets: Secrets, value: object) -> object:
    return json.loads(secrets.line(json.dumps({"a": value}, ensure_ascii=False).encode()))["a"]


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("around", ["{}", "key={}", "\n{}\n", 'say "{}" ', "\u00e9{}", "a\t{},"])
def test_common_keys(kind: str, around: str) -> None:
    text = around.format(KEYS[kind])
    secrets = Secrets()
    for cleaned in (secrets.text(text), clean_value(secrets, text)):
        assert isinstance(cleaned, str)
        assert REDACTED in cleaned
        assert not any(part in cleaned for part in TELLING.get(kind, (KEYS[kind],)))


def test_there_is_a_sample_of_each_form() -> None:
    for form in FORMS:
        alone = Secrets()
        assert any(alone.text(key) != key for key in KEYS.values()), form
    assert len(KEYS) >= len(FORMS)


@pytest.mark.parametrize(
    "text",
    [
        "a risk-assessment-of-the-new-policy-framework-2024A",
        "task-list-for-the-day-of-the-launch",
        "sk-the-wonderful-world-of-hyphens",
        "basic information, bearer of good news everywhere",
        "https://example.org:8080/a@b and mailto:a@b.example",
        "eyJ is how base64 of JSON begins",
        "MAKIAIOSFODNN7EXAMPLES",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "ghp_short xoxb- AKIA hf_ npm_ AIza",
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert Secrets().text(text) == text
    line = json.dumps({"a": text}).encode()
    assert Secrets().line(line) == line


def test_without_forms_known_values_still_go() -> None:
    secrets = Secrets(["open sesame"], forms=False)
    text = f"open sesame {KEYS['aws']}"
    assert secrets.text(text) == f"{REDACTED} {KEYS['aws']}"
    secrets.forms = True
    assert secrets.text(text) == f"{REDACTED} {REDACTED}"
    assert Secrets(forms=False).line(b"{}") == b"{}"


def test_names() -> None:
    secrets = Secrets()
    secrets.add_named(
        {"X-Api-Key": "first-value", "Authorization": "Token second-value", "HOME": "/home/ada"}
    )
    text = "first-value Token second-value alone: second-value /home/ada"
    assert secrets.text(text) == f"{REDACTED} {REDACTED} alone: {REDACTED} /home/ada"


SECRET = st.text(min_size=SHORTEST, max_size=40).map(str.strip).filter(
    lambda text: len(text) >= SHORTEST and text not in REDACTED and REDACTED not in text
)  # fmt: skip


@given(SECRET, st.text(), st.text())
@example('quo"te\\back\nline', "", "")
@example("nabcdefgh", "\\", "")
@example("\U0001f511 a longer key", "x", "\u00e9")
def test_known_values_in_every_form(value: str, before: str, after: str) -> None:
    secrets = Secrets([value], forms=False)
    encoded = base64.b64encode(value.encode()).decode().rstrip("=")
    for form in (value, quote(value, safe=""), encoded):
        text = before + form + after
        cleaned = clean_value(secrets, text)
        assert isinstance(cleaned, str)
        # Once more where taking one out has put another together.
        assert form not in cleaned or form in text.replace(form, REDACTED)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    secrets = Secrets(["open sesame"])
    cleaned = secrets.line(data + b" open sesame ")
    assert b"sesame" not in cleaned


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=10))
def test_lines_stay_json(value: object) -> None:
    secrets = Secrets(["nope nope", "u0041 or not", '"quoted"', "\\n\\n\\n\\n\\n"])
    for key in (*KEYS.values(), '"quoted"', "\\n\\n\\n\\n\\n", "\nope nope"):
        line = secrets.line(json.dumps([value, key, {key: value}]).encode())
        json.loads(line)


@given(st.text(alphabet=st.characters(categories=["Cs", "Ll"])))
def test_half_a_surrogate_pair(text: str) -> None:
    assert "open sesame" not in Secrets(["open sesame"]).text(text + "open sesame")


def test_spilled_results(tmp_path: Path) -> None:
    text = f"{KEYS['aws']} " * 10
    result = Result("c", (Text(text),), structured={"a": text})
    relieved = anyio.run(Spill(tmp_path, over=50).relieve, result)
    files = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 2
    assert isinstance(relieved.content[0], File)
    assert relieved.content[0].size == len(f"{REDACTED} " * 10)
    assert all(REDACTED in each and KEYS["aws"] not in each for each in files)


def test_after_a_backslash_that_is_none_of_json() -> None:
    assert Secrets(["bsecret-value"]).text(r"C:\bsecret-value") == rf"C:\{REDACTED}"


@pytest.mark.parametrize("before", ["\\u000A", "\\u000a", "\\n", "\\\\", "\\u00e9"])
def test_after_an_escape(before: str) -> None:
    line = f'{{"a":"{before}{KEYS["aws"]}{before}{KEYS["google"]}"}}'.encode()
    cleaned = Secrets().line(line)
    assert json.loads(cleaned)["a"] == json.loads(f'"{before}{REDACTED}{before}{REDACTED}"')
