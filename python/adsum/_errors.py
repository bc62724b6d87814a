"""What goes wrong, by whose fault it is."""


class AdsumError(Exception):
    """All errors of adsum's own that are no plain ValueError, TypeError or OSError."""


class ClusterError(AdsumError):
    """A cluster gave no answer; the subclasses say why. The Cluster can be used again."""


class UnreachableError(ClusterError, ConnectionError):
    """No node of the cluster can be reached, or none answers."""


class IdentityError(ClusterError, PermissionError):
    """The cluster has another secret."""


class IncompleteError(ClusterError):
    """Some of the data is on no node that is there; allow_partial= takes the rest."""


class DeadlineError(ClusterError, TimeoutError):
    """The deadline passed before there was a result."""


class DataError(ClusterError, ValueError):
    """What was asked for does not exist, is not clear, or cannot be reduced."""


class PartialResultWarning(UserWarning):
    """A result is of a part of the data, as allow_partial= allows; it names the rest."""
