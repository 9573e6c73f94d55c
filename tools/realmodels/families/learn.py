"""scikit-learn: every estimator of the installed version, fitted and saved.

The estimators take turns with the ways to save them: pickle's protocols, and
joblib with each of its compressions.
"""

import pickle

import joblib
import numpy as np
import sklearn
from sklearn import (calibration, compose, datasets, ensemble, feature_extraction, feature_selection, gaussian_process, impute, inspection,
                     linear_model, metrics, model_selection, neighbors, pipeline, preprocessing, svm, tree)
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.utils import all_estimators

WAYS = [("pickle", p) for p in (2, 3, 4, 5, 0, 1)] + [
    ("joblib", 0), ("joblib", 3), ("joblib", ("zlib", 3)), ("joblib", ("gzip", 3)), ("joblib", ("bz2", 3)), ("joblib", ("xz", 3)), ("joblib", ("lzma", 3))]

X = np.abs(np.random.RandomState(0).rand(40, 4)) + 0.1
Y = (X[:, 0] > 0.6).astype(int)
R = X @ [1.0, 2.0, 3.0, 4.0]
Y2 = np.c_[Y, 1 - Y]
R2 = np.c_[R, R + 1]
TEXT = ["the cat sat on the mat", "a dog ran far", "the dog sat", "cats and dogs"] * 10


def save(shelf, name, value, way, version):
    kind, how = way
    if kind == "pickle":
        shelf.bytes(f"sklearn/{name}.p{how}.pkl", "benign", "scikit-learn+pickle", version, lambda: pickle.dumps(value(), protocol=how))
        return
    suffix = how[0] if isinstance(how, tuple) else f"c{how}"
    shelf.add(f"sklearn/{name}.{suffix}.joblib", "benign", "scikit-learn+joblib", f"{version}+joblib{joblib.__version__}",
              lambda target: joblib.dump(value(), target, compress=how) and None)


def fitted(name, kind):
    """An estimator fitted on whatever it takes."""
    inner = {"estimator": linear_model.LogisticRegression(), "base_estimator": linear_model.LogisticRegression()}
    special = {
        "ClassifierChain": lambda: kind(linear_model.LogisticRegression()), "RegressorChain": lambda: kind(linear_model.Ridge()),
        "ColumnTransformer": lambda: kind([("s", preprocessing.StandardScaler(), [0, 1])], remainder="passthrough"),
        "FeatureUnion": lambda: kind([("s", preprocessing.StandardScaler())]),
        "Pipeline": lambda: kind([("s", preprocessing.StandardScaler()), ("m", linear_model.Ridge())]),
        "GridSearchCV": lambda: kind(linear_model.Ridge(), {"alpha": [0.1, 1]}, cv=2),
        "HalvingGridSearchCV": lambda: kind(linear_model.Ridge(), {"alpha": [0.1, 1]}, cv=2),
        "HalvingRandomSearchCV": lambda: kind(linear_model.Ridge(), {"alpha": [0.1, 1]}, cv=2),
        "RandomizedSearchCV": lambda: kind(linear_model.Ridge(), {"alpha": [0.1, 1]}, n_iter=2, cv=2),
        "StackingClassifier": lambda: kind([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier())], cv=2),
        "StackingRegressor": lambda: kind([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor())], cv=2),
        "VotingClassifier": lambda: kind([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier())]),
        "VotingRegressor": lambda: kind([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor())]),
        "SelectKBest": lambda: kind(k=2), "SpectralBiclustering": lambda: kind(2, n_best=1, n_components=3),
        "OrthogonalMatchingPursuitCV": lambda: kind(max_iter=2, cv=2),
        "GaussianRandomProjection": lambda: kind(2), "SparseRandomProjection": lambda: kind(2),
        "SparseCoder": lambda: kind(np.eye(4)),
        "MultiOutputRegressor": lambda: kind(linear_model.Ridge()),
        "SelectFromModel": lambda: kind(linear_model.Lasso(0.01)), "RFE": lambda: kind(linear_model.Ridge()), "RFECV": lambda: kind(linear_model.Ridge(), cv=2),
        "SequentialFeatureSelector": lambda: kind(linear_model.Ridge(), cv=2),
    }
    if name in special:
        model = special[name]()
    else:
        try:
            model = kind()
        except TypeError:
            model = kind(inner["estimator"])
    params = model.get_params()
    for key, small in {"n_estimators": 5, "max_iter": 30, "n_init": 1, "n_components": 2, "perplexity": 5, "min_samples": 3, "n_quantiles": 10}.items():
        if key in params and name not in special and name not in ("LinearDiscriminantAnalysis", "CCA", "GaussianMixture", "NeighborhoodComponentsAnalysis"):
            model.set_params(**{key: small})
    tries = [(X, Y), (X, R), (X,), (X, Y2), (X, R2), (TEXT,), (TEXT, Y), ([{"a": 1, "b": "x"}, {"a": 2}],), ([("a", "b"), ("c",)],), (Y,),
             (np.random.RandomState(1).rand(3, 8, 8),), (X @ X.T,)]
    if name.endswith("Regressor") or "Regress" in name:
        tries.insert(0, (X, R))
    if name.startswith("Isotonic"):
        tries.insert(0, (X[:, 0], R))
    err = None
    for args in tries:
        try:
            model.fit(*args)
            return model
        except Exception as failed:
            err = err or failed
    raise err


def composed():
    """What people really save: pipelines of several parts."""
    yield "text-pipeline", lambda: pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2), stop_words="english"),
                                                          linear_model.SGDClassifier(loss="log_loss")).fit(TEXT, Y)
    yield "function-transformer-numpy", lambda: pipeline.make_pipeline(preprocessing.FunctionTransformer(np.log1p, np.expm1), linear_model.Ridge()).fit(X, R)
    yield "columns", lambda: compose.make_column_transformer(
        (preprocessing.OneHotEncoder(handle_unknown="ignore"), [3]), (impute.SimpleImputer(), slice(0, 3))).fit(np.c_[X[:, :3], Y])
    yield "target-transformed", lambda: compose.TransformedTargetRegressor(linear_model.Ridge(), func=np.log, inverse_func=np.exp).fit(X, R)
    yield "calibrated", lambda: calibration.CalibratedClassifierCV(svm.LinearSVC(), method="isotonic", cv=2).fit(X, Y)
    yield "random-search-distributions", lambda: model_selection.RandomizedSearchCV(
        svm.SVC(), {"C": __import__("scipy.stats").stats.loguniform(0.1, 10)}, n_iter=2, cv=2).fit(X, Y)
    yield "grid-scorer", lambda: model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [1]}, scoring=metrics.make_scorer(metrics.mean_squared_error, greater_is_better=False), cv=model_selection.KFold(2)).fit(X, R)
    yield "gaussian-process-kernels", lambda: gaussian_process.GaussianProcessRegressor(
        gaussian_process.kernels.ConstantKernel() * gaussian_process.kernels.RBF() + gaussian_process.kernels.WhiteKernel() + gaussian_process.kernels.Matern()).fit(X, R)
    yield "knn-balltree", lambda: neighbors.KNeighborsClassifier(algorithm="ball_tree", metric="manhattan").fit(X, Y)
    yield "knn-kdtree", lambda: neighbors.KNeighborsRegressor(algorithm="kd_tree").fit(X, R)
    yield "knn-haversine", lambda: neighbors.NearestNeighbors(algorithm="ball_tree", metric="haversine").fit(X[:, :2])
    yield "kernel-density", lambda: neighbors.KernelDensity().fit(X)
    yield "select-mutual-info", lambda: feature_selection.SelectKBest(feature_selection.mutual_info_classif, k=2).fit(X, Y)
    yield "select-chi2", lambda: feature_selection.SelectKBest(feature_selection.chi2, k=2).fit(X, Y)
    for loss in ("log_loss", "exponential"):
        yield f"gradient-boosting-{loss}", lambda loss=loss: ensemble.GradientBoostingClassifier(loss=loss, n_estimators=3).fit(X, Y)
    for loss in ("squared_error", "huber", "quantile", "absolute_error"):
        yield f"gradient-boosting-{loss}", lambda loss=loss: ensemble.GradientBoostingRegressor(loss=loss, n_estimators=3).fit(X, R)
    for loss in ("squared_error", "poisson", "quantile", "absolute_error"):
        yield f"hist-boosting-{loss}", lambda loss=loss: ensemble.HistGradientBoostingRegressor(
            loss=loss, quantile=0.5 if loss == "quantile" else None, max_iter=3).fit(X, R)
    for loss in ("hinge", "modified_huber", "squared_hinge", "perceptron", "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"):
        yield f"sgd-{loss}", lambda loss=loss: linear_model.SGDClassifier(loss=loss).fit(X, Y)
    yield "bunch-iris", lambda: datasets.load_iris()
    yield "splitters", lambda: [kind() for kind in (
        model_selection.KFold, model_selection.StratifiedKFold, model_selection.GroupKFold, model_selection.ShuffleSplit, model_selection.StratifiedShuffleSplit,
        model_selection.TimeSeriesSplit, model_selection.LeaveOneOut, model_selection.RepeatedKFold, model_selection.StratifiedGroupKFold,
        model_selection.RepeatedStratifiedKFold, model_selection.GroupShuffleSplit, model_selection.LeaveOneGroupOut)]
    yield "scorers", lambda: [metrics.get_scorer(name) for name in metrics.get_scorer_names()]
    yield "partial-dependence", lambda: inspection.partial_dependence(linear_model.Ridge().fit(X, R), X, [0])
    yield "permutation-importance", lambda: inspection.permutation_importance(linear_model.Ridge().fit(X, R), X, R)
    yield "confusion-display", lambda: {"report": metrics.classification_report(Y, Y, output_dict=True), "matrix": metrics.confusion_matrix(Y, Y)}
    yield "sparse-input", lambda: feature_extraction.text.CountVectorizer().fit_transform(TEXT)
    yield "model-and-metadata", lambda: {"model": ensemble.RandomForestClassifier(3).fit(X, Y), "features": ["a", "b"], "version": sklearn.__version__, "classes": {0: "no"}}


def add(shelf):
    version = sklearn.__version__
    names = 0
    for name, kind in all_estimators():
        save(shelf, name, lambda name=name, kind=kind: fitted(name, kind), WAYS[names % len(WAYS)], version)
        names += 1
    for name, value in composed():
        save(shelf, name, value, WAYS[names % len(WAYS)], version)
        names += 1
    for way in WAYS:
        save(shelf, "forest-every-way", lambda: ensemble.RandomForestClassifier(4, random_state=1).fit(X, Y), way, version)
    big = {"a": np.arange(5000.0).reshape(50, 100), "f": np.asfortranarray(np.ones((30, 30))), "o": np.array(["x", 1], dtype=object), "m": np.ma.ones(3)}
    for compress in (0, 9, ("zlib", 1), ("gzip", 9), ("bz2", 9), ("xz", 1), ("lzma", 1), True):
        suffix = "-".join(map(str, compress)) if isinstance(compress, tuple) else str(compress).lower()
        for protocol in (2, 4):
            shelf.add(f"joblib/arrays.{suffix}.p{protocol}.joblib", "benign", "joblib", joblib.__version__,
                      lambda target, c=compress, p=protocol: joblib.dump(big, target, compress=c, protocol=p) and None)
    shelf.add("joblib/frame.joblib.z", "benign", "joblib", joblib.__version__, lambda target: joblib.dump([1, "x", {"k": np.ones(3)}], target) and None)
