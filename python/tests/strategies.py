"""What Hypothesis draws for several tests."""

import numpy as np
from hypothesis import strategies as st


def small(dtype):
    """Numbers whose sums and products NumPy computes exactly in this type."""
    return {"b": st.booleans(), "u": st.integers(0, 3), "i": st.integers(-3, 3)}.get(
        np.dtype(dtype).kind, st.integers(-3, 3).map(float)
    )


def axes_of(ndim):
    """None, an axis, or several, of so many."""
    several = st.lists(st.integers(-ndim, ndim - 1), min_size=1, unique_by=lambda axis: axis % ndim).map(tuple)
    return st.one_of(st.none(), st.integers(-ndim, ndim - 1), several)


def broadcastable(shape):
    """Shapes that broadcast to this one."""
    return st.tuples(*[st.sampled_from([1, length]) for length in shape])
