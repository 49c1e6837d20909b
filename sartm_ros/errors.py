"""What every room may raise."""


class ParameterError(ValueError):
    """A parameter that cannot be used; the text names it, what was found and what was expected."""
