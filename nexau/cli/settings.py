"""What the options before the command's name have set."""

from typing import Literal

from msgspec import Struct

LOG_LEVELS = Literal["debug", "info", "warning", "error", "critical"]


class Settings(Struct):
    log_level: LOG_LEVELS = "warning"


SETTINGS = Settings()
