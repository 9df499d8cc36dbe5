"""Compiled functions on many machines, by Dask: sums over partitions, maps, Jacobians and fits from many starts.

`value_and_grad` and `total` sum over the partitions of Dask arrays, bags and lists of delayed values; `map`,
`jacobian` and `multistart` spread independent work. The compiled tape travels as its saved form, once to each worker.
With a `distributed.Client` (given, or the current one) the work runs there; without one, in threads of this process.

Needs ``pip install "tapegrad[dask]"``.
"""

try:
    import dask  # noqa: F401 -- a first look, for the message
except ImportError as error:
    raise ImportError('tapegrad.dask needs Dask: pip install "tapegrad[dask]"') from error

from .carrying import VersionMismatchError
from .independent import jacobian, map, multistart
from .partitions import shard
from .running import PartitionError
from .sums import total, value_and_grad

__all__ = [
    "PartitionError",
    "VersionMismatchError",
    "jacobian",
    "map",
    "multistart",
    "shard",
    "total",
    "value_and_grad",
]
