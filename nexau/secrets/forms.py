"""What common keys look like."""

from msgspec import Struct

REDACTED = "[redacted]"


class Form(Struct, frozen=True):
    """One kind of key. None takes a quote or half of an escape, so a line stays valid JSON."""

    fast: str
    """What the scan looks for, in the syntax of the `regex` crate."""
    precise: str
    """What is then taken out; begins with plain text, for which Python's `re` has a fast search."""
    instead: str = REDACTED
    word: bool = False
    """Whether it must not begin within a longer word."""


FORMS = (
    # OpenAI, Anthropic, OpenRouter. Not words with hyphens: a digit and a capital are in every key.
    Form(
        r"(?:(?-u:\b)|\\[nrt])sk-[A-Za-z0-9_-]{20}",
        r"sk-(?=[A-Za-z_-]*[0-9])(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{20,}",
        word=True,
    ),
    # Stripe.
    Form(r"k_(?:live|test)_[0-9a-zA-Z]{16}", r"k_(?:live|test)_[0-9a-zA-Z]{16,}"),
    # GitHub, GitLab.
    Form(r"gh[pousr]_[A-Za-z0-9]{36}", r"gh[pousr]_[A-Za-z0-9]{36,}"),
    Form(r"github_pat_[A-Za-z0-9_]{22}", r"github_pat_[A-Za-z0-9_]{22,}"),
    Form(r"glpat-[A-Za-z0-9_-]{20}", r"glpat-[A-Za-z0-9_-]{20,}"),
    # AWS, Google.
    Form(r"A[KS]IA[0-9A-Z]{16}", r"A[KS]IA[0-9A-Z]{16}(?![A-Za-z0-9])", word=True),
    Form(r"AIza[0-9A-Za-z_-]{35}", r"AIza[0-9A-Za-z_-]{35}"),
    Form(r"ya29\.[0-9A-Za-z_-]{20}", r"ya29\.[0-9A-Za-z_-]{20,}"),
    # Slack, Hugging Face, npm, PyPI, SendGrid.
    Form(r"xox[abeprs]-[0-9A-Za-z-]{10}", r"xox[abeprs]-[0-9A-Za-z-]{10,}"),
    Form(r"hf_[A-Za-z0-9]{30}", r"hf_[A-Za-z0-9]{30,}", word=True),
    Form(r"npm_[A-Za-z0-9]{36}", r"npm_[A-Za-z0-9]{36}"),
    Form(r"pypi-AgE[A-Za-z0-9_-]{32}", r"pypi-AgE[A-Za-z0-9_-]{32,}"),
    Form(
        r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
        r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    ),
    # JSON Web Tokens: the header and the payload each begin with `{"` in base64.
    Form(
        r"eyJ[A-Za-z0-9_-]{10,512}\.eyJ[A-Za-z0-9_-]{10}",
        r"eyJ[A-Za-z0-9_-]{10,512}\.eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?",
    ),
    # PEM (RFC 7468), its lines ended as they are or as JSON escapes them.
    Form(
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----",
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]|\\[nr])*"
        r"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?",
    ),
    Form(
        r"earer [A-Za-z0-9._~+/-]{16}",
        r"earer (?=[A-Za-z._~+/-]*[0-9])[A-Za-z0-9._~+/-]{16,}=*",
        instead=f"earer {REDACTED}",
    ),
    # The user and the password in a URL.
    Form(
        r"://[^/\s:@\"\\]{1,64}:[^/\s@\"\\]{1,256}@",
        r"://[^/\s:@\"\\]{1,64}:[^/\s@\"\\]{1,256}@",
        instead=f"://{REDACTED}@",
    ),
)
