"""xgboost: boosters in each of its formats, and its estimators."""

import pickle

import joblib
import numpy as np
import xgboost

X = np.random.RandomState(0).rand(60, 4)
Y = (X[:, 0] > 0.5).astype(int)


def booster(**params):
    matrix = xgboost.DMatrix(X, label=Y, feature_names=["a", "b", "c", "d"])
    return xgboost.train({"nthread": 1, "verbosity": 0, **params}, matrix, 3)


def add(shelf):
    v = xgboost.__version__
    for kind in ("gbtree", "dart", "gblinear"):
        shelf.bytes(f"xgboost/{kind}.pkl", "benign", "xgboost+pickle", v, lambda k=kind: pickle.dumps(booster(booster=k)))
        for suffix in ("json", "ubj", "model"):
            shelf.add(f"xgboost/{kind}.{suffix}", "benign", "xgboost.save_model", v, lambda target, k=kind: booster(booster=k).save_model(target))
    for objective in ("binary:logistic", "rank:pairwise", "reg:squarederror"):
        shelf.bytes(f"xgboost/{objective.replace(':', '-')}.p2.pkl", "benign", "xgboost+pickle", v,
                    lambda o=objective: pickle.dumps(booster(objective=o), protocol=2))
    for i, name in enumerate(("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor")):
        model = lambda n=name: getattr(xgboost, n)(n_estimators=3, n_jobs=1).fit(X, Y)  # noqa: E731
        shelf.bytes(f"xgboost/{name}.pkl", "benign", "xgboost+pickle", v, lambda m=model, p=i + 2: pickle.dumps(m(), protocol=p))
        shelf.add(f"xgboost/{name}.joblib", "benign", "xgboost+joblib", v, lambda target, m=model, c=i: joblib.dump(m(), target, compress=c) and None)
    shelf.bytes("xgboost/ranker.pkl", "benign", "xgboost+pickle", v,
                lambda: pickle.dumps(xgboost.XGBRanker(n_estimators=2, n_jobs=1).fit(X, Y, group=[30, 30])))
    shelf.bytes("xgboost/early-stopping.pkl", "benign", "xgboost+pickle", v, lambda: pickle.dumps(
        xgboost.XGBClassifier(n_estimators=3, n_jobs=1, callbacks=[xgboost.callback.EarlyStopping(1)]).fit(X, Y, eval_set=[(X, Y)], verbose=False)))
    shelf.add("xgboost/buffer.dmatrix", "benign", "xgboost.DMatrix.save_binary", v, lambda target: xgboost.DMatrix(X, label=Y).save_binary(target))
    shelf.add("xgboost/dump.json", "benign", "xgboost.dump_model", v, lambda target: booster().dump_model(target, dump_format="json"))
