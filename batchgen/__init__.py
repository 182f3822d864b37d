"""batchgen buys images from OpenAI-compatible gateways, overnight and by the thousand, and proves what they cost."""


def __getattr__(name: str) -> str:
    """`__version__`, looked up only when somebody asks: reading package metadata slows every start."""
    if name == "__version__":
        from importlib.metadata import version

        return version("batchgen")
    raise AttributeError(name)
