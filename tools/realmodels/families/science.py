"""scipy in its breadth: every distribution, tests, optimizers, geometry."""

import pickle

import numpy as np
import scipy
from scipy import integrate, interpolate, odr, optimize, signal, sparse, spatial, special, stats
from scipy.sparse import linalg
from scipy.stats import _distr_params, qmc

X = np.linspace(0.1, 3, 20)
Y = np.sin(X)
POINTS = np.random.RandomState(4).rand(25, 2)


def distributions():
    """Each distribution, frozen with parameters that it takes."""
    seen = set()
    for name, shapes in _distr_params.distcont + _distr_params.distdiscrete:
        if isinstance(name, str) and name not in seen:
            seen.add(name)
            yield name, lambda name=name, shapes=shapes: getattr(stats, name)(*shapes)


def multivariate():
    yield "wishart", lambda: stats.wishart(3, np.eye(2))
    yield "invwishart", lambda: stats.invwishart(3, np.eye(2))
    yield "dirichlet", lambda: stats.dirichlet([1.0, 2])
    yield "multinomial", lambda: stats.multinomial(5, [0.5, 0.5])
    yield "matrix-normal", lambda: stats.matrix_normal(np.zeros((2, 2)))
    yield "multivariate-t", lambda: stats.multivariate_t([0.0, 0])
    yield "ortho-group", lambda: stats.ortho_group
    yield "special-ortho", lambda: stats.special_ortho_group
    yield "multivariate-hypergeom", lambda: stats.multivariate_hypergeom([3, 4], 2)
    yield "random-table", lambda: stats.random_table([1, 2], [2, 1])
    yield "covariance-diagonal", lambda: stats.Covariance.from_diagonal([1.0, 2])
    yield "covariance-cholesky", lambda: stats.Covariance.from_cholesky(np.eye(2))
    yield "covariance-eigen", lambda: stats.Covariance.from_eigendecomposition((np.ones(2), np.eye(2)))
    yield "covariance-precision", lambda: stats.Covariance.from_precision(np.eye(2))


def tests():
    yield "mannwhitney", lambda: stats.mannwhitneyu(X, Y)
    yield "wilcoxon", lambda: stats.wilcoxon(X, Y)
    yield "kruskal", lambda: stats.kruskal(X, Y)
    yield "shapiro", lambda: stats.shapiro(X)
    yield "anderson", lambda: stats.anderson(X)
    yield "levene", lambda: stats.levene(X, Y)
    yield "pearson", lambda: stats.pearsonr(X, Y)
    yield "kendall", lambda: stats.kendalltau(X, Y)
    yield "describe", lambda: stats.describe(X)
    yield "mode", lambda: stats.mode([1, 1, 2])
    yield "chi2-contingency", lambda: stats.chi2_contingency([[3, 4], [5, 6]])
    yield "fisher", lambda: stats.fisher_exact([[3, 4], [5, 6]])
    yield "barnard", lambda: stats.barnard_exact([[3, 4], [5, 6]])
    yield "binomtest", lambda: stats.binomtest(3, 10)
    yield "binned", lambda: stats.binned_statistic(X, Y)
    yield "oneway", lambda: stats.f_oneway(X, Y)
    yield "tukey", lambda: stats.tukey_hsd(X, Y)
    yield "bootstrap", lambda: stats.bootstrap((X,), np.mean, n_resamples=20, random_state=1)
    yield "permutation", lambda: stats.permutation_test((X, Y), lambda a, b: a.mean() - b.mean(), n_resamples=20, random_state=1)
    yield "theilslopes", lambda: stats.theilslopes(X, Y)
    yield "siegel", lambda: stats.siegelslopes(X, Y)
    yield "somers", lambda: stats.somersd(np.arange(4), np.arange(4))
    yield "cumfreq", lambda: stats.cumfreq(X)
    yield "sigmaclip", lambda: stats.sigmaclip(X)
    yield "relative-risk", lambda: stats.contingency.relative_risk(3, 10, 4, 10)
    yield "odds-ratio", lambda: stats.contingency.odds_ratio([[3, 4], [5, 6]])
    yield "fit", lambda: stats.fit(stats.norm, X, {"loc": (0, 3), "scale": (0.1, 3)})
    yield "page", lambda: stats.page_trend_test(np.arange(12).reshape(3, 4))
    yield "cramervonmises", lambda: stats.cramervonmises(X, "norm")
    yield "mstats", lambda: stats.mstats.linregress(X, Y)
    yield "skewtest", lambda: stats.skewtest(X)
    yield "epps", lambda: stats.epps_singleton_2samp(X, Y)
    for name in ("Sobol", "Halton", "LatinHypercube", "PoissonDisk"):
        yield "qmc-" + name.lower(), lambda name=name: getattr(qmc, name)(2, seed=1)
    yield "qmc-normal", lambda: qmc.MultivariateNormalQMC([0, 0], seed=1)


def solved():
    square = lambda v: ((v - 1) ** 2).sum()  # noqa: E731
    for method in ("BFGS", "CG", "Powell", "TNC", "SLSQP", "COBYLA", "trust-constr", "Newton-CG"):
        extra = {"jac": lambda v: 2 * (v - 1)} if method == "Newton-CG" else {}
        yield "minimize-" + method.lower(), lambda m=method, e=extra: optimize.minimize(square, [0.0, 3.0], method=m, **e)
    yield "least-squares", lambda: optimize.least_squares(lambda v: v - 1, [0.0])
    yield "curve-fit", lambda: optimize.curve_fit(lambda x, a, b: a * x + b, X, Y, full_output=True)
    yield "differential-evolution", lambda: optimize.differential_evolution(square, [(-2, 2)], maxiter=3, seed=1)
    yield "basinhopping", lambda: optimize.basinhopping(square, [0.0], niter=2, seed=1)
    yield "dual-annealing", lambda: optimize.dual_annealing(square, [(-2, 2)], maxiter=5, seed=1)
    yield "shgo", lambda: optimize.shgo(square, [(-2, 2)])
    yield "brentq", lambda: optimize.brentq(lambda x: x - 1, 0, 3, full_output=True)
    yield "root-scalar", lambda: optimize.root_scalar(lambda x: x - 1, bracket=(0, 3))
    yield "milp", lambda: optimize.milp([1, 1], integrality=[1, 0], bounds=optimize.Bounds(0, 4))
    yield "bounds", lambda: [optimize.Bounds(0, 1), optimize.LinearConstraint(np.eye(2), 0, 1)]
    yield "assignment", lambda: optimize.linear_sum_assignment(np.eye(3))
    yield "ivp", lambda: integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0])
    yield "ivp-dense", lambda: integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], dense_output=True).sol
    yield "ivp-dense-bdf", lambda: integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], dense_output=True, method="BDF").sol
    yield "bvp", lambda: integrate.solve_bvp(lambda x, y: np.vstack((y[1], -y[0])), lambda a, b: np.array([a[0], b[0] - 1]), X, np.zeros((2, X.size))).x
    yield "quad-vec", lambda: integrate.quad_vec(lambda x: x * np.ones(2), 0, 1, full_output=True)
    yield "odr-data", lambda: odr.Data(X, Y)
    yield "orthopoly", lambda: [special.legendre(3), special.hermite(2), special.chebyt(4)]
    yield "splrep", lambda: interpolate.splrep(X, Y)
    yield "smoothing-spline", lambda: interpolate.make_smoothing_spline(X, Y)
    yield "bspline-basis", lambda: interpolate.BSpline.basis_element([0, 1, 2, 3])
    yield "ndppoly", lambda: interpolate.NdPPoly(np.ones((2, 2, 1, 1)), ([0, 1], [0, 1]))
    yield "clough", lambda: interpolate.CloughTocher2DInterpolator(POINTS, POINTS[:, 0])
    yield "sphere-spline", lambda: interpolate.RectSphereBivariateSpline(X, X, np.outer(X, X))
    yield "bspline-lsq", lambda: interpolate.LSQUnivariateSpline(X, Y, [1.0, 2.0])
    yield "splprep", lambda: interpolate.splprep([X, Y])
    yield "spherical-voronoi", lambda: spatial.SphericalVoronoi(np.r_[np.eye(3), -np.eye(3)])
    yield "halfspace", lambda: spatial.HalfspaceIntersection(np.array([[-1, 0, 0], [0, -1, 0], [1, 1, -1.0]]), np.array([0.2, 0.2]))
    yield "rotation-spline", lambda: spatial.transform.RotationSpline([0, 1, 2], spatial.transform.Rotation.from_euler("z", [0, 1, 2]))
    yield "rectangle", lambda: spatial.Rectangle([1, 1], [0, 0])
    yield "linear-operator", lambda: linalg.aslinearoperator(np.eye(2))
    yield "sparse-mixed", lambda: sparse.bmat([[sparse.eye(2), None], [None, sparse.eye(3)]])
    yield "filter", lambda: {"sos": signal.butter(3, 0.2, output="sos"), "ba": signal.firwin(5, 0.2), "dlti": signal.dlti([1], [1, 2], dt=0.1)}
    yield "zpk-discrete", lambda: signal.ZerosPolesGain([1], [0.5], 3, dt=0.1)


def numpy_breadth():
    yield "finfo", lambda: [np.finfo(np.float32), np.iinfo(np.int8)]
    yield "busday", lambda: np.array(["2020-01-01"], dtype="datetime64[ns]")
    yield "vectorize", lambda: np.vectorize(np.hypot, otypes=[float])
    yield "random-legacy", lambda: [np.random.get_state(), np.random.RandomState(np.random.PCG64(3))]
    yield "ma-everything", lambda: [np.ma.masked_all(3), np.ma.masked_invalid([1, np.nan]), np.ma.array([[1, 2], [3, 4]], mask=[[0, 1], [0, 0]]).astype(object)]
    yield "structured-titles", lambda: np.zeros(2, dtype=[(("title", "a"), "i4")])
    yield "record-scalar", lambda: np.rec.array([(1, "x")], dtype=[("a", "i4"), ("b", "U2")])[0]
    yield "ndindex", lambda: list(np.ndindex(2, 2))
    yield "polynomial-domain", lambda: np.polynomial.Polynomial([1, 2], domain=[0, 1], window=[-1, 1])


def add(shelf):
    v = scipy.__version__
    for group, values in (("distribution", distributions()), ("multivariate", multivariate()), ("test", tests()), ("solved", solved())):
        for i, (name, make) in enumerate(values):
            shelf.bytes(f"science/{group}-{name}.pkl", "benign", "scipy+pickle", v, lambda m=make, p=(4, 2, 5, 3)[i % 4]: pickle.dumps(m(), protocol=p))
    for i, (name, make) in enumerate(numpy_breadth()):
        shelf.bytes(f"science/numpy-{name}.pkl", "benign", "numpy+pickle", np.__version__, lambda m=make, p=(4, 2, 5, 3)[i % 4]: pickle.dumps(m(), protocol=p))
