"""Chance-corrected agreement of any number of raters."""

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import ComparisonError


def fleiss_kappa(votes: npt.ArrayLike, times: npt.ArrayLike | None = None) -> float | None:
    r"""Fleiss' kappa :math:`(\bar P - \bar P_e) / (1 - \bar P_e)` (Fleiss 1971, doi:10.1037/h0031619).

    1 is full agreement, 0 is what is expected by chance, and negative values are less than that.

    Parameters
    ----------
    votes : (N, k) array of int
        Number of raters who assigned each of N subjects to each of k categories; every row must have the same number
        of raters, at least two.
    times : (N,) array of int, optional
        Number of times each row occurs; 1 if not given.

    Returns
    -------
    float or None
        None if all votes are for one category, because kappa is then undefined.

    Raises
    ------
    ComparisonError
        If the rows do not all sum to the same number of raters, at least two.

    Examples
    --------
    >>> fleiss_kappa([[2, 0], [0, 2], [1, 1]])
    0.33333333333333326
    """
    counts = np.atleast_2d(np.asarray(votes, dtype=np.float64))
    weights = np.ones(len(counts)) if times is None else np.asarray(times, dtype=np.float64)
    raters = counts.sum(axis=1)
    if not len(counts) or raters[0] < 2 or (raters != raters[0]).any():
        sizes = ", ".join(f"{n:.0f}" for n in np.unique(raters)) or "no row"
        msg = f"Votes per subject: {sizes}. Every subject needs the votes of the same raters, two or more."
        raise ComparisonError(msg)
    shares = weights / weights.sum()
    agreeing = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    by_category = shares @ counts / raters[0]
    expected = float((by_category**2).sum())
    if np.isclose(expected, 1.0, rtol=0, atol=1e-12):
        return None
    return (float(shares @ agreeing) - expected) / (1 - expected)
