"""Oracles: scipy's hypergeometric function, a fine rule of Gauss, and closed forms."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import hyp2f1

from models.power_integral import Powers, integral, log_integral

FloatArray = NDArray[np.float64]


def one(a: float, m: float, b: float, q: float, low: float, high: float) -> float:
    powers = Powers(*(np.array([value]) for value in (a, m, b, q)))
    return float(log_integral(powers, np.array([low]), np.array([high]))[0])


def by_hypergeometric(a: float, m: float, b: float, q: float, low: float, high: float) -> float:
    """The published form for a >= b, with q = s + 1: a difference of two 2F1."""
    k = m + q - 1

    def tail(t: float) -> float:
        z = (a - b) / (a + t)
        return float(hyp2f1(k, q, k + 1, z)) / (a + t) ** k / k

    return float(np.log(tail(low) - tail(high)))


def by_brute_force(a: float, m: float, b: float, q: float, low: float, high: float) -> float:
    """2,400 nodes, spread over the logarithm of the smaller one."""
    near = min(a, b)
    edges = np.exp(np.linspace(np.log(near + low), np.log(near + high), 61)) - near
    x, w = np.polynomial.legendre.leggauss(40)
    half = np.diff(edges)[:, None] / 2
    t = edges[:-1, None] + half * (1 + x)
    relative = -m * np.log((a + t) / (a + low)) - q * np.log((b + t) / (b + low))
    total = np.log((half * w * np.exp(relative)).sum())
    return float(total - m * np.log(a + low) - q * np.log(b + low))


@pytest.mark.parametrize("a", [10.578, 11.0, 30.0, 500.0])
@pytest.mark.parametrize("m", [0.553, 3.553, 29.553])
def test_it_is_the_difference_of_two_hypergeometric_functions(a: float, m: float) -> None:
    asked = (a, m, 10.0, 1.606, 5.0, 40.0)
    assert one(*asked) == pytest.approx(by_hypergeometric(*asked), abs=1e-8)


def test_it_stands_where_parameters_are_far_apart() -> None:
    rng = np.random.default_rng(5)
    n = 400
    a, b = 10 ** rng.uniform(-3, 4, (2, n))
    m, q = 10 ** rng.uniform(-2, 2.8, n), 10 ** rng.uniform(-2, 1.5, n)
    low = rng.integers(0, 2, n) * rng.uniform(0, 300, n)
    high = low + 10 ** rng.uniform(-1, 3, n)
    found = log_integral(Powers(a, m, b, q), low, high)
    table = np.column_stack([a, m, b, q, low, high]).tolist()
    np.testing.assert_allclose(found, [by_brute_force(*row) for row in table], rtol=0, atol=1e-8)


@pytest.mark.parametrize(("m", "q"), [(2.5, 0.7), (0.2, 0.3), (90.0, 3.0)])
def test_equal_rates_have_a_closed_form(m: float, q: float) -> None:
    k = m + q - 1
    expected = np.log(((7.0 + 2) ** -k - (7.0 + 50) ** -k) / k)
    assert one(7.0, m, 7.0, q, 2.0, 50.0) == pytest.approx(expected, abs=1e-11)


def test_nothing_between_equal_ends() -> None:
    assert one(3.0, 2.0, 5.0, 2.0, 4.0, 4.0) == -np.inf


def test_shares_give_the_derivative() -> None:
    def at(a: float) -> tuple[float, float]:
        powers = Powers(*(np.array([value]) for value in (a, 3.0, 9.0, 1.5)))
        value, nodes = integral(powers, np.array([1.0]), np.array([30.0]))
        slope = -3.0 * float((nodes.share / (a + nodes.t)).sum())
        return float(value[0]), slope

    step = 1e-5
    numeric = (at(4.0 + step)[0] - at(4.0 - step)[0]) / (2 * step)
    assert at(4.0)[1] == pytest.approx(numeric, abs=1e-8)
