"""Exact sums of Dask arrays: a partial for each block, merged by Dask in any order.

    python dask_sum.py
"""

import dask.array as da
import numpy as np
from adsum import Partial


def exact_sum(x, axis=None):
    """The sum of a dask.array along axes or wholly, each result rounded once."""

    def partials(block, axis, keepdims):
        found = np.empty([1 if n in axis else length for n, length in enumerate(block.shape)], object)
        for place in np.ndindex(found.shape):
            found[place] = Partial.from_array(block[tuple(slice(None) if n in axis else p for n, p in enumerate(place))])
        return found

    def finish(parts, axis, keepdims):
        return np.frompyfunc(Partial.finish, 1, 1)(np.sum(parts, axis, keepdims=keepdims))

    return da.reduction(x, partials, finish, combine=np.sum, axis=axis, dtype=object, meta=np.empty((), object))


if __name__ == "__main__":
    x = da.from_array(np.tile([1e16, 1.0, -1e16], 1000), chunks=700)
    print(float(x.sum().compute()), float(exact_sum(x).compute()))
