import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from gmps.core.dist import gaussian_kl, gaussian_log_prob


@pytest.mark.usefixtures("x64")
def test_log_prob_against_scipy():
    x, mean, log_std = np.random.default_rng(0).normal(size=(3, 5))
    expected = stats.multivariate_normal(mean, np.diag(np.exp(2 * log_std))).logpdf(x)
    actual = gaussian_log_prob(jnp.array(x), jnp.array(mean), jnp.array(log_std))
    assert float(actual) == pytest.approx(expected, rel=1e-13)


def test_log_prob_by_hand():
    # N(1; 0, 2^2): -1/8 - log 2 - log(2 pi) / 2.
    actual = gaussian_log_prob(jnp.array([1.0]), jnp.zeros(1), jnp.log(jnp.array([2.0])))
    assert float(actual) == pytest.approx(-0.125 - 0.6931472 - 0.9189385, rel=1e-6)


@pytest.mark.usefixtures("x64")
def test_kl_is_the_integral():
    mean_p, log_std_p, mean_q, log_std_q = np.array([0.3, -0.4, -0.5, 0.2])
    p, q = stats.norm(mean_p, np.exp(log_std_p)), stats.norm(mean_q, np.exp(log_std_q))
    expected, _ = integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -12, 12)
    one = lambda x: jnp.array([x])  # noqa: E731
    actual = gaussian_kl(one(mean_p), one(log_std_p), one(mean_q), one(log_std_q))
    assert float(actual) == pytest.approx(expected, rel=1e-9)


@pytest.mark.usefixtures("x64")
def test_kl_adds_over_dimensions_and_vanishes_only_for_equals():
    arguments = jnp.array(np.random.default_rng(1).normal(size=(4, 6)))
    each = jax.vmap(lambda a: gaussian_kl(*a[:, None]), in_axes=1)(arguments)
    assert float(gaussian_kl(*arguments)) == pytest.approx(float(each.sum()), rel=1e-13)
    assert (each > 0).all()
    assert float(gaussian_kl(arguments[0], arguments[1], arguments[0], arguments[1])) == 0
