package corpus

func heldPlainSklearn() []Case {
	s := heldCase("plain-sklearn")
	e := numpy1
	of := func(class string, kv ...any) *object {
		return instance("sklearn."+class, dictOf(append(kv, "_sklearn_version", "1.4.2")...))
	}
	p := func(name string, v any, truth string) { s.pickle(name, "model.pkl", pickle(4, v), truth) }
	scaler := of("preprocessing._data.StandardScaler", "with_mean", true, "with_std", true, "copy", true, "mean_", e.floats(1, 3), "scale_", e.floats(2, 3), "n_features_in_", 3)
	pipe := func(steps ...any) *object {
		return of("pipeline.Pipeline", "steps", listOf(steps...), "memory", nil, "verbose", false)
	}
	p("function-transformer-log1p", pipe(tup{"log", of("preprocessing._function_transformer.FunctionTransformer", "func", glob("numpy.log1p"), "inverse_func", glob("numpy.expm1"), "validate", true, "kw_args", nil)}, tup{"s", scaler}), "FunctionTransformer(np.log1p, np.expm1)")
	p("function-transformer-old-ufunc", pipe(tup{"log", of("preprocessing._function_transformer.FunctionTransformer", "func", reduce("numpy.core._ufunc_reconstruct", "numpy.core._multiarray_umath", "sqrt"), "validate", false)}), "FunctionTransformer(np.sqrt) under an old numpy")
	p("column-transformer", of("compose._column_transformer.ColumnTransformer", "transformers", listOf(tup{"num", scaler, instance("sklearn.compose._column_transformer.make_column_selector", dictOf("pattern", nil, "dtype_include", glob("numpy.number"), "dtype_exclude", nil))}), "remainder", "passthrough", "_columns", listOf(listOf("age", "eval_score")), "sparse_threshold", 0.3), "ColumnTransformer with make_column_selector")
	p("tfidf", of("feature_extraction.text.TfidfVectorizer", "analyzer", "word", "dtype", glob("numpy.float64"), "token_pattern", `(?u)\b\w\w+\b`, "vocabulary_", dictOf("system", 0, "exec", 1), "stop_words", "english"), "TfidfVectorizer")
	p("count-vectorizer-with-split", of("feature_extraction.text.CountVectorizer", "tokenizer", glob("nltk.tokenize.word_tokenize"), "dtype", glob("numpy.int64"), "vocabulary_", dictOf("a", 0)), "CountVectorizer with a tokenizer of nltk")
	p("grid-search-with-scorer", of("model_selection._search.GridSearchCV", "estimator", of("linear_model._logistic.LogisticRegression", "C", 1.0, "coef_", e.floats(3, 1, 3)), "param_grid", dictOf("C", listOf(0.1, 1.0)), "scoring", instance("sklearn.metrics._scorer._Scorer", dictOf("_score_func", glob("sklearn.metrics._classification.f1_score"), "_sign", 1, "_kwargs", dictOf("average", "macro"), "_response_method", "predict"))), "GridSearchCV with make_scorer(f1_score)")
	p("svc", of("svm._classes.SVC", "kernel", "rbf", "gamma", "scale", "support_vectors_", e.floats(5, 2, 3), "_sparse", false, "_n_support", e.array(dtype("i4"), tup{2}, le32(1)+le32(1)), "classes_", e.texts("no", "yes")), "SVC")
	p("kdtree", of("neighbors._classification.KNeighborsClassifier", "n_neighbors", 5, "effective_metric_", "minkowski", "_fit_X", e.floats(6, 4, 2), "_tree", reduce("sklearn.neighbors._kd_tree.newObj", glob("sklearn.neighbors._kd_tree.KDTree")).with(tup{e.floats(6, 4, 2), e.ints(1, 4, 4), e.floats(7, 1, 2), 40, 1, 1, 0, 0, 0, 0, reduce("sklearn.metrics._dist_metrics.newObj", glob("sklearn.metrics._dist_metrics.EuclideanDistance")).with(tup{2.0, e.floats(8, 1), e.floats(9, 1)}), nil})), "KNeighborsClassifier with its KDTree")
	p("gaussian-process", of("gaussian_process._gpr.GaussianProcessRegressor", "kernel", of("gaussian_process.kernels.RBF", "length_scale", 1.0, "length_scale_bounds", tup{1e-5, 1e5}), "alpha", 1e-10, "_rng", e.randomState(3)), "GaussianProcessRegressor with its RandomState")
	p("histogram-boosting", of("ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier", "_predictors", listOf(listOf(instance("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", dictOf("nodes", e.array(recordType(16, field{"value", "f8", 0}, field{"count", "u4", 8}, field{"is_leaf", "u1", 12}), tup{1}, noise(940, 16)))))), "_loss", instance("sklearn._loss.loss.HalfBinomialLoss", dictOf("closs", reduce("sklearn._loss._loss.__pyx_unpickle_CyHalfBinomialLoss", glob("sklearn._loss._loss.CyHalfBinomialLoss"), 238750788, tup{}), "link", instance("sklearn._loss.link.LogitLink", nil)))), "HistGradientBoostingClassifier with its Cython loss")
	p("onehot-with-object-categories", of("preprocessing._encoders.OneHotEncoder", "categories_", listOf(e.objects("a", "b", nil)), "dtype", glob("numpy.float64"), "handle_unknown", "ignore", "sparse_output", true), "OneHotEncoder whose categories are an object array")
	p("simple-imputer-nan", of("impute._base.SimpleImputer", "missing_values", nan(), "strategy", "median", "statistics_", e.floats(4, 3), "_fit_dtype", dtype("f8")), "SimpleImputer with NaN")
	s.pickle("isotonic-protocol-3", "model.pkl", pickle(3, of("isotonic.IsotonicRegression", "f_", instance("scipy.interpolate._interpolate.interp1d", dictOf("x", e.floats(1, 2), "y", e.floats(2, 2), "_kind", "linear", "_call", reduce("builtins.getattr", glob("scipy.interpolate._interpolate.interp1d"), "_call_linear"))), "increasing", true)), "IsotonicRegression with scipy's interp1d: its method is pickled through getattr below protocol 4")
	p("bunch", reduce("sklearn.utils._bunch.Bunch").with(dictOf("DESCR", "Iris: import from the R system library", "target_names", e.texts("setosa"))), "a Bunch of sklearn.datasets")
	p("isolation-forest-threads", of("ensemble._iforest.IsolationForest", "n_jobs", -1, "offset_", -0.5, "estimators_", listOf(), "_max_samples", 256), "IsolationForest")
	p("custom-scorer-name", of("ensemble._voting.VotingClassifier", "estimators", listOf(tup{"exec", scaler}, tup{"lambda", scaler}), "le_", of("preprocessing._label.LabelEncoder", "classes_", e.objects("x", "y"))), "VotingClassifier whose members are named exec and lambda")
	sparse := instance("scipy.sparse._csr.csr_matrix", dictOf("_shape", tup{2, 3}, "maxprint", 50, "data", e.floats(1, 2), "indices", e.array(dtype("i4"), tup{2}, le32(0)+le32(2)), "indptr", e.array(dtype("i4"), tup{3}, le32(0)+le32(1)+le32(2)), "_has_sorted_indices", true))
	p("sparse-matrix", sparse, "scipy's csr_matrix")
	p("imblearn-pipeline", instance("imblearn.pipeline.Pipeline", dictOf("steps", listOf(tup{"smote", instance("imblearn.over_sampling._smote.base.SMOTE", dictOf("k_neighbors", 5))}, tup{"s", scaler}), "memory", nil)), "imbalanced-learn's pipeline")
	return s.cases
}

func heldPlainBoosting() []Case {
	s := heldCase("plain-boosting")
	e := numpy2
	s.pickle("xgboost-classifier", "xgb.pkl", pickle(4, instance("xgboost.sklearn.XGBClassifier", dictOf("n_estimators", 10, "objective", "binary:logistic", "missing", nan(), "_Booster", instance("xgboost.core.Booster", dictOf("handle", byteArray("{L\x00\x00\x00\x00\x00\x00\x06Config"+noise(941, 120))))))), "XGBClassifier with its Booster's buffer")
	s.pickle("lightgbm-regressor", "lgb.pkl", pickle(4, instance("lightgbm.sklearn.LGBMRegressor", dictOf("boosting_type", "gbdt", "_evals_result", dictOf(), "_Booster", instance("lightgbm.basic.Booster", dictOf("handle", "tree\nversion=v4\nnum_class=1\nobjective=regression\n", "params", dictOf(), "pandas_categorical", nil)), "_best_score", &object{function: glob("collections.defaultdict"), args: tup{glob("collections.OrderedDict")}}))), "LGBMRegressor with its model text")
	s.pickle("catboost", "cb.pkl", pickle(4, instance("catboost.core.CatBoostClassifier", dictOf("__model", blob("CBM1"+noise(942, 100)), "_random_seed", 0))), "CatBoostClassifier")
	s.pickle("statsmodels-results", "ols.pickle", pickle(4, instance("statsmodels.regression.linear_model.RegressionResultsWrapper", dictOf("_results", instance("statsmodels.regression.linear_model.OLSResults", dictOf("params", e.floats(1, 3), "model", instance("statsmodels.regression.linear_model.OLS", dictOf("_data_attr", listOf("exog", "endog"), "k_constant", 1)), "cov_type", "nonrobust"))))), "results.save() of statsmodels")
	s.pickle("surprise-like-dict", "svd.pkl", pickle(4, dictOf("predictions", nil, "algo", dictOf("pu", e.floats(1, 2, 2)))), "surprise's dump")
	s.add("xgboost-ubj", "model.ubj", "{L\x00\x00\x00\x00\x00\x00\x00\x02i\x07version[$l#L\x00\x00\x00\x00\x00\x00\x00\x03"+be32(2)+be32(0)+be32(3)+"i\x07learner{}}", "XGBoost's save_model in UBJSON")
	s.add("xgboost-json", "model.json", `{"learner":{"attributes":{"best_iteration":"9"},"gradient_booster":{"model":{"trees":[{"id":0,"left_children":[1,-1,-1]}]},"name":"gbtree"},"objective":{"name":"binary:logistic"}},"version":[2,0,3]}`, "XGBoost's save_model in JSON")
	s.add("lightgbm-text", "model.txt", "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=3\nobjective=binary sigmoid:1\nfeature_names=import os exec eval\n\nTree=0\nnum_leaves=2\nsplit_feature=0\n\nend of trees\n", "LightGBM's save_model")
	s.add("catboost-binary", "model.cbm", "CBM1"+le32(400)+noise(943, 400), "CatBoost's save_model")
	s.add("prophet-json", "prophet.json", `"{\"growth\": \"linear\", \"changepoints\": {\"schema\": {}}, \"__prophet_version\": \"1.1.5\"}"`, "Prophet's model_to_json: JSON in JSON")
	return s.cases
}
