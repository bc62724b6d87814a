"""Calls that fail, and names that there are not."""

from .._errors import AdsumError

ERROR_CLASSES = (
    "SUCCESS", "ERR_BUFFER", "ERR_COUNT", "ERR_TYPE", "ERR_TAG", "ERR_COMM", "ERR_RANK", "ERR_ROOT",
    "ERR_OP", "ERR_ARG", "ERR_TRUNCATE", "ERR_REQUEST", "ERR_PROC_FAILED", "ERR_OTHER",
)  # fmt: skip


class GroupError(AdsumError, RuntimeError):
    """A call of a group of ranks failed.

    A rank died or left, ranks made different calls, a deadline passed, or what was given fits
    no call. Other ranks that need the call have an error, too.
    """

    __module__ = "adsum"

    def __init__(self, message, error_class="ERR_OTHER"):
        super().__init__(message)
        self.error_class = ERROR_CLASSES.index(error_class)

    def Get_error_class(self):
        """The class of the error: one of MPI.ERR_..."""
        return self.error_class

    def Get_error_code(self):
        """The class of the error; there are no codes beside."""
        return self.error_class

    def Get_error_string(self):
        """What went wrong."""
        return str(self)

    error_code = property(Get_error_code)
    error_string = property(Get_error_string)


class NotThere(NotImplementedError, AttributeError):
    """What mpi4py has under this name, and adsum has not."""


class Named(type):
    """Classes whose missing methods raise NotImplementedError by their name."""

    def __getattr__(cls, name):
        if name.startswith("_"):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        raise NotThere(f"MPI.{cls.__name__}.{name}")


class Missing(metaclass=Named):
    """Objects whose missing methods raise NotImplementedError by their name."""

    def __getattr__(self, name):
        return Named.__getattr__(type(self), name)
