"""Why something cannot be made of a frame."""


class Missing(ValueError):
    """An input that is not there or does not fit: the text says which, what was found, and what to do."""
