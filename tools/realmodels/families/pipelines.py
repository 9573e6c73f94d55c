"""scikit-learn, xgboost and pandas as projects combine them."""

import functools
import pickle

import joblib
import numpy as np
import pandas as pd
import scipy.special
import scipy.stats
import sklearn
import xgboost
from sklearn import (cluster, compose, covariance, datasets, decomposition, ensemble, feature_extraction, feature_selection, gaussian_process, impute, kernel_approximation,
                     linear_model, manifold, metrics, mixture, model_selection, multioutput, naive_bayes, neighbors, neural_network, pipeline, preprocessing, semi_supervised, svm, tree)
from sklearn.utils import Bunch

from .learn import R, TEXT, X, Y

FRAME = pd.DataFrame({"age": X[:, 0], "fare": X[:, 1], "sex": pd.Categorical(["m", "f"] * 20), "name": TEXT, "when": pd.date_range("2020", periods=40)})
NUMBERS = ["age", "fare"]


def sklearn_models():
    both = compose.ColumnTransformer([("n", pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()), NUMBERS),
                                      ("c", preprocessing.OneHotEncoder(), ["sex"]), ("t", feature_extraction.text.TfidfVectorizer(), "name")])
    yield "frame-pipeline", lambda: pipeline.Pipeline([("x", both), ("m", linear_model.LogisticRegression())]).fit(FRAME, Y)
    yield "selector", lambda: compose.make_column_transformer((preprocessing.MinMaxScaler(), compose.make_column_selector(dtype_include=np.number))).fit(FRAME)
    yield "pandas-output", lambda: preprocessing.StandardScaler().set_output(transform="pandas").fit(FRAME[NUMBERS])
    for name, f in (("log1p", np.log1p), ("sqrt", np.sqrt), ("expit", scipy.special.expit), ("abs", np.abs), ("none", None), ("clip", functools.partial(np.clip, a_min=0, a_max=1))):
        yield "function-" + name, lambda f=f: preprocessing.FunctionTransformer(f).fit(X)
    yield "tokenizer-str", lambda: feature_extraction.text.CountVectorizer(tokenizer=str.split, preprocessor=str.lower, token_pattern=None).fit(TEXT)
    yield "analyzer-char", lambda: feature_extraction.text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), dtype=np.float32).fit(TEXT)
    yield "vocabulary", lambda: feature_extraction.text.CountVectorizer(vocabulary={"cat": 0, "dog": 1}, stop_words=["the"]).fit(TEXT)
    for kernel in ("rbf", "poly", "sigmoid", "linear", "precomputed"):
        yield "svc-" + kernel, lambda k=kernel: svm.SVC(kernel=k, probability=True).fit(X @ X.T if k == "precomputed" else X, Y)
    yield "svc-callable", lambda: svm.SVC(kernel=metrics.pairwise.rbf_kernel).fit(X, Y)
    yield "svc-weights", lambda: svm.SVC(class_weight={0: 1, 1: 2}, random_state=np.random.RandomState(1)).fit(X, Y)
    for metric in ("euclidean", "manhattan", "chebyshev", "minkowski", "canberra", "braycurtis", "hamming", "jaccard", "seuclidean", "mahalanobis"):
        params = {"seuclidean": {"V": np.ones(4)}, "mahalanobis": {"V": np.eye(4)}}.get(metric)
        yield "neighbors-" + metric, lambda m=metric, p=params: neighbors.KNeighborsClassifier(metric=m, algorithm="ball_tree", metric_params=p).fit(X, Y)
        yield "metric-" + metric, lambda m=metric, p=params: metrics.DistanceMetric.get_metric(m, **(p or {}))
    yield "neighbors-weights", lambda: neighbors.KNeighborsRegressor(weights="distance").fit(X, R)
    yield "balltree", lambda: neighbors.BallTree(X)
    yield "kdtree", lambda: neighbors.KDTree(X)
    yield "tree-object", lambda: tree.DecisionTreeRegressor(criterion="poisson", ccp_alpha=0.01).fit(X, R).tree_
    for criterion in ("gini", "entropy", "log_loss"):
        yield "forest-" + criterion, lambda c=criterion: ensemble.ExtraTreesClassifier(3, criterion=c, bootstrap=True, oob_score=True).fit(X, Y)
    yield "boosting-init", lambda: ensemble.GradientBoostingRegressor(init=linear_model.Ridge(), n_estimators=3, subsample=0.5).fit(X, R)
    yield "hist-categorical", lambda: ensemble.HistGradientBoostingClassifier(max_iter=3, categorical_features=[0], early_stopping=True).fit(np.c_[Y, X], Y)
    yield "hist-monotonic", lambda: ensemble.HistGradientBoostingRegressor(max_iter=3, monotonic_cst=[1, 0, 0, -1], interaction_cst="pairwise").fit(X, R)
    yield "adaboost", lambda: ensemble.AdaBoostClassifier(tree.DecisionTreeClassifier(max_depth=1), n_estimators=3).fit(X, Y)
    yield "bagging-features", lambda: ensemble.BaggingRegressor(svm.SVR(), n_estimators=2, max_features=0.5).fit(X, R)
    yield "stack-deep", lambda: ensemble.StackingClassifier([("f", ensemble.RandomForestClassifier(2)), ("s", pipeline.make_pipeline(preprocessing.RobustScaler(), svm.LinearSVC()))],
                                                            final_estimator=ensemble.GradientBoostingClassifier(n_estimators=2), cv=model_selection.StratifiedKFold(2)).fit(X, Y)
    for solver in ("adam", "sgd", "lbfgs"):
        yield "mlp-" + solver, lambda s=solver: neural_network.MLPClassifier((4, 3), solver=s, max_iter=5, early_stopping=s != "lbfgs").fit(X, Y)
    yield "search-results", lambda: model_selection.GridSearchCV(pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC()), {"svc__C": [1, 2], "svc__kernel": ["rbf"]},
                                                                scoring=["accuracy", "f1"], refit="f1", cv=2, return_train_score=True).fit(X, Y)
    yield "search-shuffle", lambda: model_selection.RandomizedSearchCV(ensemble.RandomForestClassifier(2), {"max_depth": scipy.stats.randint(1, 5), "min_samples_leaf": [1, 2]}, n_iter=2,
                                                                     cv=model_selection.ShuffleSplit(2, random_state=1), random_state=1).fit(X, Y)
    yield "search-groups", lambda: model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": np.logspace(-2, 2, 3)}, cv=model_selection.PredefinedSplit([0] * 20 + [1] * 20)).fit(X, R)
    for solver in ("liblinear", "saga", "newton-cg", "lbfgs", "newton-cholesky"):
        yield "logistic-" + solver, lambda s=solver: linear_model.LogisticRegression(solver=s, max_iter=20).fit(X, Y)
    yield "logistic-cv", lambda: linear_model.LogisticRegressionCV(cv=2, scoring=metrics.make_scorer(metrics.fbeta_score, beta=2)).fit(X, Y)
    yield "glm", lambda: [linear_model.PoissonRegressor().fit(X, R), linear_model.GammaRegressor().fit(X, R), linear_model.TweedieRegressor(power=1.5).fit(X, R)]
    yield "ransac", lambda: linear_model.RANSACRegressor(linear_model.LinearRegression(), loss="squared_error", random_state=1).fit(X, R)
    yield "ica-logcosh", lambda: decomposition.FastICA(2, fun="cube", whiten="unit-variance").fit(X)
    yield "dictionary", lambda: decomposition.DictionaryLearning(2, transform_algorithm="lasso_lars", max_iter=3).fit(X)
    yield "kernel-pca", lambda: decomposition.KernelPCA(2, kernel="cosine", fit_inverse_transform=True).fit(X)
    yield "dbscan-metric", lambda: cluster.DBSCAN(metric="cosine", algorithm="brute").fit(X)
    yield "agglomerative", lambda: cluster.AgglomerativeClustering(linkage="single", connectivity=neighbors.kneighbors_graph(X, 3)).fit(X)
    yield "feature-agglomeration", lambda: cluster.FeatureAgglomeration(2, pooling_func=np.median).fit(X)
    yield "mixture", lambda: mixture.BayesianGaussianMixture(n_components=2, covariance_type="tied").fit(X)
    yield "covariance", lambda: covariance.EllipticEnvelope().fit(X)
    yield "chain", lambda: multioutput.ClassifierChain(naive_bayes.GaussianNB(), order=[1, 0]).fit(X, np.c_[Y, 1 - Y])
    yield "selection", lambda: pipeline.make_pipeline(feature_selection.SelectKBest(feature_selection.f_regression, k=2), feature_selection.RFE(linear_model.Ridge()), svm.SVR()).fit(X, R)
    yield "select-from", lambda: feature_selection.SelectFromModel(ensemble.RandomForestClassifier(2), threshold="median", importance_getter="feature_importances_").fit(X, Y)
    yield "gp-classifier", lambda: gaussian_process.GaussianProcessClassifier(gaussian_process.kernels.ExpSineSquared() + gaussian_process.kernels.DotProduct() ** 2).fit(X, Y)
    yield "gp-pairwise", lambda: gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.PairwiseKernel() + gaussian_process.kernels.RationalQuadratic()).fit(X, R)
    yield "spline-quantile", lambda: pipeline.make_pipeline(preprocessing.SplineTransformer(), preprocessing.QuantileTransformer(n_quantiles=10), preprocessing.KBinsDiscretizer(3)).fit(X)
    yield "ordinal", lambda: preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=-1).fit(FRAME[["sex"]])
    yield "label", lambda: [preprocessing.LabelEncoder().fit(["a", "b"]), preprocessing.MultiLabelBinarizer().fit([["a"], ["b", "c"]]), preprocessing.LabelBinarizer().fit(Y)]
    yield "iterative", lambda: impute.IterativeImputer(linear_model.BayesianRidge(), max_iter=2).fit(np.where(X > 0.9, np.nan, X))
    yield "self-training", lambda: semi_supervised.SelfTrainingClassifier(naive_bayes.GaussianNB()).fit(X, np.where(X[:, 1] > 0.5, -1, Y))
    yield "nystroem", lambda: kernel_approximation.Nystroem("chi2", n_components=3).fit(X)
    yield "isomap", lambda: manifold.Isomap(n_neighbors=4, metric="cosine").fit(X)
    yield "datasets", lambda: [datasets.load_wine(), datasets.load_digits(as_frame=False), datasets.load_diabetes(as_frame=True)]
    yield "bunch", lambda: Bunch(model=linear_model.Ridge().fit(X, R), columns=pd.Index(NUMBERS), metrics={"r2": np.float64(0.5)})
    yield "wrapped", lambda: {"model": ensemble.RandomForestRegressor(2).fit(X, R), "scaler": preprocessing.StandardScaler().fit(X), "frame": FRAME.head(), "when": pd.Timestamp("2020")}


def boosters():
    multi = np.arange(40) % 3
    yield "multiclass", lambda: xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(X, multi)
    yield "categorical", lambda: xgboost.XGBClassifier(n_estimators=2, n_jobs=1, enable_categorical=True, tree_method="hist").fit(FRAME[NUMBERS + ["sex"]], Y)
    yield "frame-names", lambda: xgboost.XGBRegressor(n_estimators=2, n_jobs=1, monotone_constraints=(1, 0)).fit(FRAME[NUMBERS], R)
    yield "pipeline", lambda: pipeline.make_pipeline(preprocessing.StandardScaler(), xgboost.XGBRegressor(n_estimators=2, n_jobs=1)).fit(X, R)
    yield "search", lambda: model_selection.GridSearchCV(xgboost.XGBClassifier(n_jobs=1), {"n_estimators": [1, 2]}, cv=2).fit(X, Y)
    yield "callbacks", lambda: xgboost.XGBClassifier(n_estimators=2, n_jobs=1, callbacks=[xgboost.callback.EvaluationMonitor()]).fit(
        X, Y, eval_set=[(X, Y)], verbose=False)
    yield "metric", lambda: xgboost.XGBRegressor(n_estimators=2, n_jobs=1, eval_metric=metrics.mean_absolute_error).fit(X, R, eval_set=[(X, R)], verbose=False)
    yield "attributes", attributed
    yield "ensemble", lambda: ensemble.VotingRegressor([("x", xgboost.XGBRegressor(n_estimators=1, n_jobs=1)), ("r", linear_model.Ridge())]).fit(X, R)


def attributed():
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(X, label=R), 2)
    booster.set_attr(best="2", note="os.system")
    return booster


def tables():
    yield "groupby", lambda: FRAME.groupby("sex", observed=True)[NUMBERS]
    yield "grouper", lambda: pd.Grouper(key="when", freq="W")
    yield "rolling", lambda: FRAME[NUMBERS].rolling(3)
    yield "cut", lambda: pd.cut(FRAME["age"], 3)
    yield "qcut", lambda: pd.qcut(FRAME["age"], 2, labels=["low", "high"])
    yield "pivot", lambda: FRAME.pivot_table("age", index=FRAME["when"].dt.month, columns="sex", observed=True)
    yield "period-index", lambda: FRAME.set_index("when").to_period("M")
    yield "dateutil", lambda: pd.Timestamp("2020-01-01", tz="dateutil/Europe/Berlin")
    yield "business", lambda: pd.date_range("2020", periods=3, freq=pd.offsets.CustomBusinessDay(weekmask="Mon Tue Wed"))
    yield "named", lambda: pd.NamedAgg("a", "mean")
    yield "sparse-frame", lambda: pd.DataFrame.sparse.from_spmatrix(__import__("scipy.sparse").sparse.eye(4))
    yield "nested-frames", lambda: {"train": FRAME, "stats": FRAME.describe(), "dtypes": FRAME.dtypes, "columns": FRAME.columns, "corr": FRAME[NUMBERS].corr()}
    yield "strings", lambda: FRAME.astype({"name": "string", "age": "Float64"})
    yield "intervals", lambda: pd.arrays.IntervalArray.from_breaks([0, 1, 2])
    yield "extension-arrays", lambda: [pd.array([1, None], dtype="Int8"), pd.array([True, None], dtype="boolean"), pd.array(["a", None], dtype="string"), pd.array([1, 0], dtype="Sparse[int]")]
    yield "slices", lambda: [pd.IndexSlice[1:2], FRAME.iloc[:2], FRAME["name"].str]
    yield "errors", lambda: pd.errors.ParserError("bad")


def add(shelf):
    ways = [2, 4, 5, "z", 3, "c", 0, "x", 1]
    groups = (("sklearn", "scikit-learn", sklearn.__version__, sklearn_models()), ("xgboost", "xgboost", xgboost.__version__, boosters()), ("pandas", "pandas", pd.__version__, tables()))
    for group, writer, version, values in groups:
        for i, (name, make) in enumerate(values):
            way = ways[i % len(ways)]
            if isinstance(way, int):
                way = max(way, 2) if group == "pandas" else way
                shelf.bytes(f"pipelines/{group}-{name}.p{way}.pkl", "benign", writer + "+pickle", version, lambda m=make, p=way: pickle.dumps(m(), protocol=p))
            else:
                shelf.add(f"pipelines/{group}-{name}.{way}.joblib", "benign", writer + "+joblib", version,
                          lambda target, m=make, w=way: joblib.dump(m(), target, compress={"z": 3, "c": 0, "x": ("xz", 2)}[w]) and None)
