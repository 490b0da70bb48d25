"""The API key as a type of its own, so that no message, log, traceback or pickle shows it by accident."""

from typing import Never

from importer.redaction import describe


class ApiKey:
    """A key that shows its length, and is revealed in `api/client.py` only, for each request anew.

    Neither a text nor a model: it is not joined, sliced, iterated, copied, pickled or turned into JSON. That guards
    against accidents. Code that is out to get the key has it: Python hides nothing from the process it runs in.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The key itself."""
        return self.__value

    def __repr__(self) -> str:
        return describe(self.__value, "API key")

    def __reduce_ex__(self, _protocol: object) -> Never:
        raise TypeError("an API key is neither copied nor pickled")

    def __getstate__(self) -> Never:  # object's own would hand the slot out
        raise TypeError("an API key is neither copied nor pickled")
