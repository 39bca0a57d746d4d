async def note(text: str) -> str:
    """Notes.

    Args:
        text: What.
    """
    if text == "fail":
        raise ValueError("no")
    return f"noted {text}"
