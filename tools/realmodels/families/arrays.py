"""numpy and scipy: arrays, generators, sparse matrices, interpolators."""

import datetime
import decimal
import pickle

import numpy as np
import numpy.ma.mrecords
import scipy
import scipy.io
from scipy import cluster, interpolate, optimize, signal, sparse, spatial, stats


def values():
    rng = np.random.RandomState(1)
    yield "float64", rng.rand(20, 3)
    yield "fortran", np.asfortranarray(rng.rand(4, 5))
    yield "float16", rng.rand(7).astype(np.float16)
    yield "bigendian", np.arange(9, dtype=">i4")
    yield "complex", rng.rand(3) + 1j
    yield "bool", rng.rand(9) > 0.5
    yield "longdouble", np.arange(3, dtype=np.longdouble)
    yield "scalar0d", np.array(3.5)
    yield "empty", np.zeros((0, 4))
    yield "strings", np.array(["a", "bcd", "ä"])
    yield "bytes", np.array([b"a", b"xyz"])
    yield "void", np.zeros(3, dtype="V7")
    yield "datetimes", np.array(["2020-01-01", "NaT"], dtype="datetime64[D]")
    yield "timedeltas", np.array([1, 2], dtype="timedelta64[ms]")
    yield "structured", np.array([(1, 2.0, "x")], dtype=[("a", "i4"), ("b", "f8"), ("c", "U3")])
    yield "nested-structured", np.zeros(2, dtype=[("a", [("x", "f4"), ("y", "f4", (2, 2))]), ("b", "i8")])
    yield "aligned", np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True))
    yield "objects", np.array([1, "two", None, {"k": [1.0]}, (1, 2)], dtype=object)
    yield "objects-dates", np.array([datetime.date(2020, 1, 1), decimal.Decimal("1.5"), datetime.timedelta(1)], dtype=object)
    yield "ragged", np.array([np.arange(2), np.arange(3)], dtype=object)
    yield "masked", np.ma.masked_greater(np.arange(6.0), 3)
    yield "masked-structured", np.ma.array([(1, 2.0)], dtype=[("a", int), ("b", float)], mask=[(True, False)])
    yield "masked-constant", np.ma.masked
    yield "recarray", np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    yield "mrecords", np.ma.mrecords.fromarrays([np.arange(3), np.arange(3.0)], names="a,b")
    yield "matrix", np.matrix("1 2; 3 4")
    yield "chararray", np.char.array(["a", "bb"])
    yield "scalars", [np.float64(1), np.int8(2), np.bool_(True), np.str_("x"), np.bytes_(b"y"), np.datetime64("2020"), np.timedelta64(1, "s"),
                      np.complex64(1), np.longdouble(2), np.void(b"ab")]
    yield "dtypes", [np.dtype("f4"), np.dtype("datetime64[ns]"), np.dtype([("a", "i4")]), np.dtype(object), np.float32, np.ndarray]
    yield "ufuncs", {"f": np.log1p, "g": np.add, "h": np.mean, "k": np.nanmedian}
    yield "poly1d", np.poly1d([1, 2, 3])
    for kind in ("Polynomial", "Chebyshev", "Legendre", "Hermite", "HermiteE", "Laguerre"):
        yield kind.lower(), getattr(np.polynomial, kind)([1, 2, 3])
    yield "randomstate", np.random.RandomState(3)
    for kind in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
        yield "generator-" + kind.lower(), np.random.Generator(getattr(np.random, kind)(3))
    yield "seedsequence", np.random.SeedSequence(5).spawn(2)
    yield "memmap-copy", np.array(np.arange(4))[::2]


def sparse_values():
    dense = sparse.random(6, 5, density=0.4, random_state=2, format="coo")
    for kind in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil"):
        yield "sparse-" + kind, dense.asformat(kind)
        array = getattr(sparse, kind + "_array", None)
        if array is not None:
            yield "sparse-array-" + kind, array(dense)


def scipy_values():
    x = np.linspace(0, 3, 12)
    y = np.sin(x)
    grid = np.outer(x, x)
    points = np.random.RandomState(4).rand(15, 2)
    for kind in ("linear", "cubic", "nearest", "previous"):
        yield "interp1d-" + kind, interpolate.interp1d(x, y, kind=kind)
    yield "cubicspline", interpolate.CubicSpline(x, y)
    yield "pchip", interpolate.PchipInterpolator(x, y)
    yield "akima", interpolate.Akima1DInterpolator(x, y)
    yield "hermite-spline", interpolate.CubicHermiteSpline(x, y, np.cos(x))
    yield "bspline", interpolate.make_interp_spline(x, y)
    yield "ppoly", interpolate.PPoly.from_spline(interpolate.splrep(x, y))
    yield "univariate", interpolate.UnivariateSpline(x, y)
    yield "interpolated-univariate", interpolate.InterpolatedUnivariateSpline(x, y)
    yield "rectbivariate", interpolate.RectBivariateSpline(x, x, grid)
    yield "smoothbivariate", interpolate.SmoothBivariateSpline(np.repeat(x, 12), np.tile(x, 12), grid.ravel())
    yield "regulargrid", interpolate.RegularGridInterpolator((x, x), grid)
    yield "nearestnd", interpolate.NearestNDInterpolator(points, points[:, 0])
    yield "linearnd", interpolate.LinearNDInterpolator(points, points[:, 0])
    yield "rbfinterpolator", interpolate.RBFInterpolator(points, points[:, 0])
    yield "rbf", interpolate.Rbf(points[:, 0], points[:, 1], points[:, 0])
    yield "barycentric", interpolate.BarycentricInterpolator(x[:5], y[:5])
    yield "krogh", interpolate.KroghInterpolator(x[:5], y[:5])
    yield "ckdtree", spatial.cKDTree(points)
    yield "kdtree", spatial.KDTree(points, 4)
    yield "delaunay", spatial.Delaunay(points)
    yield "convexhull", spatial.ConvexHull(points)
    yield "voronoi", spatial.Voronoi(points)
    yield "rotation", spatial.transform.Rotation.from_euler("z", [10, 20], degrees=True)
    yield "slerp", spatial.transform.Slerp([0, 1], spatial.transform.Rotation.from_euler("z", [10, 20], degrees=True))
    yield "optimize-result", optimize.minimize(lambda v: (v ** 2).sum(), [1.0, 2.0], method="Nelder-Mead")
    yield "optimize-lbfgs", optimize.minimize(lambda v: (v ** 2).sum(), [1.0, 2.0], method="L-BFGS-B")
    yield "root", optimize.root(lambda v: v - 1, [0.0])
    yield "linprog", optimize.linprog([1, 2], A_ub=[[-1, -1]], b_ub=[-1])
    yield "gaussian-kde", stats.gaussian_kde(points.T)
    yield "frozen-norm", stats.norm(1, 2)
    yield "frozen-gamma", stats.gamma(2.0, scale=3)
    yield "frozen-poisson", stats.poisson(3)
    yield "distribution-beta", stats.beta
    yield "frozen-multivariate-normal", stats.multivariate_normal([0, 0], np.eye(2))
    yield "rv-histogram", stats.rv_histogram(np.histogram(points, bins=4))
    yield "rv-discrete-values", stats.rv_discrete(values=([1, 2], [0.5, 0.5]))
    yield "linregress", stats.linregress(x, y)
    yield "ttest", stats.ttest_ind(x, y)
    yield "ks", stats.kstest(x, "norm")
    yield "spearman", stats.spearmanr(x, y)
    yield "lti", signal.TransferFunction([1.0], [1.0, 2.0])
    yield "statespace", signal.StateSpace(np.eye(2), np.ones((2, 1)), np.ones((1, 2)), 0)
    yield "dlti", signal.dlti([1.0], [1.0, 0.5])
    yield "zpk", signal.ZerosPolesGain([1], [2], 3)
    yield "linkage-tree", cluster.hierarchy.to_tree(cluster.hierarchy.linkage(points))


def add(shelf):
    n, s = np.__version__, scipy.__version__
    for i, (name, value) in enumerate(values()):
        shelf.bytes(f"numpy/{name}.pkl", "benign", "numpy+pickle", n, lambda v=value, p=i % 6: pickle.dumps(v, protocol=p))
        if isinstance(value, np.ndarray) and type(value) is np.ndarray:
            shelf.add(f"numpy/{name}.npy", "benign", "numpy.save", n, lambda target, v=value: np.save(target, v))
    for protocol in range(6):
        both = {"x": np.arange(40).reshape(8, 5), "names": np.array(["a", "b"]), "o": np.array([1, "x"], dtype=object)}
        shelf.bytes(f"numpy/protocol{protocol}.pkl", "benign", "numpy+pickle", n, lambda p=protocol: pickle.dumps(both, protocol=p))
    arrays = {"w": np.ones((3, 3)), "b": np.zeros(3), "labels": np.array(["a", "b"], dtype=object)}
    shelf.add("numpy/plain.npz", "benign", "numpy.savez", n, lambda target: np.savez(target, **arrays))
    shelf.add("numpy/compressed.npz", "benign", "numpy.savez_compressed", n, lambda target: np.savez_compressed(target, **arrays))
    shelf.add("numpy/text.csv", "benign", "numpy.savetxt", n, lambda target: np.savetxt(target, arrays["w"]))
    for i, (name, value) in enumerate(sparse_values()):
        shelf.bytes(f"scipy/{name}.pkl", "benign", "scipy+pickle", s, lambda v=value, p=i % 6: pickle.dumps(v, protocol=p))
    csr = sparse.random(6, 5, density=0.4, random_state=2, format="csr")
    shelf.add("scipy/sparse.npz", "benign", "scipy.sparse.save_npz", s, lambda target: sparse.save_npz(target, csr))
    shelf.add("scipy/data.mat", "benign", "scipy.io.savemat", s, lambda target: scipy.io.savemat(target, {"a": np.eye(3), "s": csr}))
    for i, (name, value) in enumerate(scipy_values()):
        shelf.bytes(f"scipy/{name}.pkl", "benign", "scipy+pickle", s, lambda v=value, p=(2, 4, 5, 3)[i % 4]: pickle.dumps(v, protocol=p))


