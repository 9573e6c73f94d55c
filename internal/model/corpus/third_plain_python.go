package corpus

// thirdFit writes fitted estimators of scikit-learn. Arrays are numpy's own, or
// joblib's where joblib.dump wrote the file.
type thirdFit struct {
	era     numpyEra
	version string
	joblib  bool
	seed    uint64
}

func (f *thirdFit) floats(shape ...any) any {
	f.seed++
	if f.joblib {
		return joblibArray{"f8", tup(shape), doubles(f.seed, product(shape))}
	}
	return f.era.floats(f.seed, shape...)
}

func (f *thirdFit) ints(limit int, shape ...any) any {
	f.seed++
	if f.joblib {
		return joblibArray{"i8", tup(shape), counts(f.seed, product(shape), limit)}
	}
	return f.era.ints(f.seed, limit, shape...)
}

func (f *thirdFit) names(values ...any) any {
	if f.joblib {
		return joblibArray{"O8", tup{len(values)}, pickle(2, f.era.objects(values...))}
	}
	return f.era.objects(values...)
}

func (f *thirdFit) scalar(v float64) any { return f.era.float(v) }

// of is an estimator: parameters, then what fit learned, then the version.
func (f *thirdFit) of(class string, attributes ...any) *object {
	return instance("sklearn."+class, dictOf(append(attributes, "_sklearn_version", f.version)...))
}

// seen are the attributes that most fitted estimators have.
func (f *thirdFit) seen(n int) []any {
	return []any{"n_features_in_", n, "feature_names_in_", f.names("age", "fare", "sex", "system_load")}
}

func (f *thirdFit) ufunc(name string) glob {
	return glob(f.era.core + "._multiarray_umath." + name)
}

func (f *thirdFit) estimators() []named {
	with := func(class string, rest []any, attributes ...any) *object {
		return f.of(class, append(attributes, rest...)...)
	}
	minmax := with("preprocessing._data.MinMaxScaler", f.seen(4), "feature_range", tup{0, 1}, "copy", true, "clip", false, "min_", f.floats(4), "scale_", f.floats(4), "data_min_", f.floats(4), "data_max_", f.floats(4), "n_samples_seen_", 891)
	lda := f.of("discriminant_analysis.LinearDiscriminantAnalysis", "solver", "svd", "shrinkage", nil, "priors", nil, "n_components", nil, "store_covariance", false, "tol", 0.0001, "covariance_estimator", nil, "n_features_in_", 4, "classes_", f.ints(3, 3), "priors_", f.floats(3), "means_", f.floats(3, 4), "xbar_", f.floats(4), "scalings_", f.floats(4, 2), "coef_", f.floats(3, 4), "intercept_", f.floats(3))
	ridge := f.of("linear_model._bayes.BayesianRidge", "max_iter", 300, "tol", 0.001, "alpha_1", 1e-06, "fit_intercept", true, "copy_X", true, "verbose", false, "n_features_in_", 4, "coef_", f.floats(4), "alpha_", f.scalar(1.2), "lambda_", f.scalar(0.4), "sigma_", f.floats(4, 4), "intercept_", f.scalar(3.5))
	bernoulli := f.of("naive_bayes.BernoulliNB", "alpha", 1.0, "binarize", 0.0, "fit_prior", true, "class_prior", nil, "force_alpha", true, "n_features_in_", 4, "classes_", f.ints(2, 2), "feature_count_", f.floats(2, 4), "feature_log_prob_", f.floats(2, 4), "class_log_prior_", f.floats(2))
	return []named{
		{"min-max-scaler", minmax},
		{"robust-scaler", with("preprocessing._data.RobustScaler", f.seen(4), "with_centering", true, "with_scaling", true, "quantile_range", tup{25.0, 75.0}, "unit_variance", false, "copy", true, "center_", f.floats(4), "scale_", f.floats(4))},
		{"quantile-transformer", f.of("preprocessing._data.QuantileTransformer", "n_quantiles", 10, "output_distribution", "normal", "subsample", 10000, "random_state", 0, "n_features_in_", 4, "n_quantiles_", 10, "references_", f.floats(10), "quantiles_", f.floats(10, 4))},
		{"power-transformer", f.of("preprocessing._data.PowerTransformer", "method", "yeo-johnson", "standardize", true, "copy", true, "n_features_in_", 4, "lambdas_", f.floats(4), "_scaler", f.of("preprocessing._data.StandardScaler", "with_mean", true, "with_std", true, "copy", false, "mean_", f.floats(4), "var_", f.floats(4), "scale_", f.floats(4)))},
		{"ordinal-encoder", f.of("preprocessing._encoders.OrdinalEncoder", "categories", "auto", "dtype", glob("numpy.float64"), "handle_unknown", "use_encoded_value", "unknown_value", -1, "encoded_missing_value", nan(), "categories_", listOf(f.names("high", "low", "mid")), "_missing_indices", dictOf())},
		{"label-binarizer", f.of("preprocessing._label.LabelBinarizer", "neg_label", 0, "pos_label", 1, "sparse_output", false, "y_type_", "multiclass", "sparse_input_", false, "classes_", f.names("bird", "cat", "dog"))},
		{"multi-label-binarizer", f.of("preprocessing._label.MultiLabelBinarizer", "classes", nil, "sparse_output", false, "classes_", f.names("action", "drama"), "_cached_dict", nil)},
		{"k-bins", f.of("preprocessing._discretization.KBinsDiscretizer", "n_bins", 5, "encode", "onehot-dense", "strategy", "quantile", "dtype", nil, "n_features_in_", 2, "bin_edges_", listOf(f.floats(6), f.floats(6)), "n_bins_", f.ints(6, 2))},
		{"knn-imputer", f.of("impute._knn.KNNImputer", "missing_values", nan(), "add_indicator", false, "n_neighbors", 5, "weights", "uniform", "metric", "nan_euclidean", "n_features_in_", 4, "_fit_X", f.floats(6, 4), "indicator_", nil)},
		{"variance-threshold", f.of("feature_selection._variance_threshold.VarianceThreshold", "threshold", 0.0, "n_features_in_", 4, "variances_", f.floats(4))},
		{"select-k-best", with("feature_selection._univariate_selection.SelectKBest", f.seen(4), "score_func", glob("sklearn.feature_selection._univariate_selection.f_classif"), "k", 2, "scores_", f.floats(4), "pvalues_", f.floats(4))},
		{"rfe", f.of("feature_selection._rfe.RFE", "estimator", ridge, "n_features_to_select", 2, "step", 1, "importance_getter", "auto", "verbose", 0, "estimator_", ridge, "n_features_", 2, "support_", f.era.array(dtype("b1"), tup{4}, "\x01\x00\x01\x00"), "ranking_", f.ints(4, 4))},
		{"nmf", f.of("decomposition._nmf.NMF", "n_components", 2, "init", nil, "solver", "cd", "beta_loss", "frobenius", "tol", 0.0001, "max_iter", 200, "random_state", 1, "alpha_W", 0.0, "l1_ratio", 0.0, "shuffle", false, "_beta_loss", 2, "reconstruction_err_", f.scalar(1.1), "components_", f.floats(2, 6), "n_components_", 2)},
		{"fast-ica", f.of("decomposition._fastica.FastICA", "n_components", 2, "algorithm", "parallel", "whiten", "unit-variance", "fun", "logcosh", "fun_args", nil, "components_", f.floats(2, 4), "mixing_", f.floats(4, 2), "mean_", f.floats(4), "whitening_", f.floats(2, 4))},
		{"kernel-pca", f.of("decomposition._kernel_pca.KernelPCA", "kernel", "rbf", "gamma", nil, "gamma_", 0.25, "eigenvalues_", f.floats(2), "eigenvectors_", f.floats(6, 2), "X_fit_", f.floats(6, 4), "_centerer", f.of("preprocessing._data.KernelCenterer", "K_fit_rows_", f.floats(6), "K_fit_all_", f.scalar(0.7)))},
		{"mini-batch-k-means", f.of("cluster._kmeans.MiniBatchKMeans", "n_clusters", 3, "init", "k-means++", "batch_size", 1024, "_algorithm", "lloyd", "random_state", 42, "cluster_centers_", f.floats(3, 4), "labels_", f.ints(3, 6), "inertia_", f.scalar(12.1), "n_iter_", 5, "_counts", f.floats(3), "_random_state", f.era.randomState(5))},
		{"agglomerative", f.of("cluster._agglomerative.AgglomerativeClustering", "n_clusters", 2, "linkage", "ward", "metric", nil, "compute_full_tree", "auto", "memory", nil, "labels_", f.ints(2, 6), "n_leaves_", 6, "n_connected_components_", 1, "children_", f.ints(6, 5, 2))},
		{"bayesian-ridge", ridge},
		{"huber", f.of("linear_model._huber.HuberRegressor", "epsilon", 1.35, "max_iter", 100, "alpha", 0.0001, "coef_", f.floats(4), "intercept_", f.scalar(1), "scale_", f.scalar(2), "outliers_", f.era.array(dtype("b1"), tup{3}, "\x00\x00\x01"))},
		{"poisson", f.of("linear_model._glm.glm.PoissonRegressor", "alpha", 1.0, "fit_intercept", true, "solver", "lbfgs", "max_iter", 100, "coef_", f.floats(4), "intercept_", f.scalar(0.3), "n_iter_", 9, "_base_loss", instance("sklearn._loss.loss.HalfPoissonLoss", dictOf("closs", reduce("sklearn._loss._loss.CyHalfPoissonLoss"), "approx_hessian", false, "constant_hessian", false, "n_classes", nil)))},
		{"lda", lda},
		{"complement-nb", f.of("naive_bayes.ComplementNB", "alpha", 1.0, "norm", false, "fit_prior", true, "classes_", f.names("ham", "spam"), "feature_all_", f.floats(8), "feature_log_prob_", f.floats(2, 8))},
		{"bernoulli-nb", bernoulli},
		{"local-outlier-factor", f.of("neighbors._lof.LocalOutlierFactor", "n_neighbors", 20, "contamination", "auto", "novelty", true, "metric", "minkowski", "p", 2, "effective_metric_params_", dictOf(), "effective_metric_", "euclidean", "_fit_method", "brute", "_fit_X", f.floats(6, 4), "_tree", nil, "n_samples_fit_", 6, "negative_outlier_factor_", f.floats(6), "offset_", -1.5)},
		{"stacking", f.of("ensemble._stacking.StackingClassifier", "estimators", listOf(tup{"lda", lda}, tup{"nb", bernoulli}), "final_estimator", nil, "cv", nil, "stack_method", "auto", "passthrough", false, "estimators_", listOf(lda, bernoulli), "final_estimator_", lda, "stack_method_", listOf("predict_proba", "predict_proba"), "_label_encoder", f.of("preprocessing._label.LabelEncoder", "classes_", f.ints(3, 3)))},
		{"multi-output", f.of("multioutput.MultiOutputRegressor", "estimator", ridge, "n_jobs", -1, "estimators_", listOf(ridge, ridge))},
		{"transformed-target", f.of("compose._target.TransformedTargetRegressor", "regressor", ridge, "transformer", nil, "func", f.ufunc("log1p"), "inverse_func", f.ufunc("expm1"), "check_inverse", true, "regressor_", ridge, "transformer_", f.of("preprocessing._function_transformer.FunctionTransformer", "func", f.ufunc("log1p"), "inverse_func", f.ufunc("expm1"), "validate", true, "check_inverse", true, "kw_args", nil))},
		{"hashing-vectorizer", f.of("feature_extraction.text.HashingVectorizer", "input", "content", "encoding", "utf-8", "tokenizer", nil, "analyzer", "char_wb", "lowercase", true, "token_pattern", `(?u)\b\w\w+\b`, "stop_words", "english", "n_features", 262144, "ngram_range", tup{2, 4}, "binary", false, "norm", "l2", "alternate_sign", true, "dtype", glob("numpy.float64"))},
		{"dict-vectorizer", f.of("feature_extraction._dict_vectorizer.DictVectorizer", "dtype", glob("numpy.float64"), "separator", "=", "sparse", true, "sort", true, "feature_names_", listOf("city=Rome", "city=Oslo"), "vocabulary_", dictOf("city=Oslo", 0, "city=Rome", 1))},
		{"feature-union", f.of("pipeline.FeatureUnion", "transformer_list", listOf(tup{"minmax", minmax}, tup{"drop", "drop"}), "n_jobs", nil, "transformer_weights", dictOf("minmax", 0.5), "verbose", false)},
		{"pipeline", f.of("pipeline.Pipeline", "steps", listOf(tup{"scale", minmax}, tup{"clf", lda}), "memory", nil, "verbose", false, "transform_input", nil)},
		{"randomized-search", f.of("model_selection._search.RandomizedSearchCV", "param_distributions", dictOf("alpha", listOf(0.1, 1.0), "fit_prior", listOf(true, false)), "n_iter", 10, "random_state", 3, "scoring", "roc_auc", "estimator", bernoulli, "cv", f.of("model_selection._split.StratifiedKFold", "n_splits", 5, "shuffle", true, "random_state", 1), "best_index_", 2, "best_params_", dictOf("fit_prior", true), "best_estimator_", bernoulli, "refit_time_", 0.01)},
		{"isotonic-calibration", f.of("calibration.CalibratedClassifierCV", "estimator", bernoulli, "method", "isotonic", "cv", 5, "ensemble", true, "classes_", f.ints(2, 2), "calibrated_classifiers_", listOf(instance("sklearn.calibration._CalibratedClassifier", dictOf("estimator", bernoulli, "calibrators", listOf(f.of("isotonic.IsotonicRegression", "y_min", nil, "y_max", nil, "increasing", true, "out_of_bounds", "clip", "X_min_", f.scalar(0), "X_thresholds_", f.floats(3), "y_thresholds_", f.floats(3), "increasing_", true)), "method", "isotonic", "classes", f.ints(2, 2)))))},
	}
}

func thirdPlainSklearn() []Case {
	s := third("sklearn")
	fits := []struct {
		name  string
		f     thirdFit
		proto int
	}{{"1-4", thirdFit{era: numpy1, version: "1.4.2", seed: 5000}, 4}, {"1-6", thirdFit{era: numpy2, version: "1.6.1", seed: 6000}, 5}, {"1-0", thirdFit{era: numpy1, version: "1.0.2", seed: 7000}, 3}}
	for i, fit := range fits {
		for k, e := range fit.f.estimators() {
			if k%3 != i && k%5 != i {
				continue
			}
			s.pickle(e.name+"-"+fit.name, []string{"model.pkl", "clf.pickle", "preprocessor.sav"}[k%3], pickle(fit.proto, e.value), "a fitted "+e.name+" of scikit-learn "+fit.f.version)
		}
	}
	j := third("joblib")
	packs := []func(string) string{nil, nil, nil, func(b string) string { return zlibbed(b, 3) }, gzipped, xzed, lz4ed}
	fit := thirdFit{era: numpy1, version: "1.3.0", joblib: true, seed: 8000}
	for k, e := range fit.estimators() {
		if k%4 == 3 {
			continue
		}
		data, file := pickle(3+k%3, e.value), "model.joblib"
		if pack := packs[k%len(packs)]; pack != nil {
			data, file = pack(data), []string{"model.joblib", "pipeline.pkl", "model.joblib.z", "model.pkl.gz", "model.joblib.xz", "sklearn_model.joblib.lz4"}[k%6]
		}
		j.add(e.name, file, data, "a fitted "+e.name+" as joblib.dump wrote it")
	}
	return join(s, j)
}

// thirdPlainLibraries are models of other libraries, in their own formats or as
// pickles.
func thirdPlainLibraries() []Case {
	b := third("boosting")
	booster := func(raw string) *object {
		return instance("xgboost.core.Booster", dictOf("feature_names", nil, "feature_types", nil, "handle", byteArray(raw)))
	}
	ubj := "{L\x00\x00\x00\x00\x00\x00\x00\x07learner{L\x00\x00\x00\x00\x00\x00\x00\x0aattributes{}L\x00\x00\x00\x00\x00\x00\x00\x09objective{L\x00\x00\x00\x00\x00\x00\x00\x04nameSL\x00\x00\x00\x00\x00\x00\x00\x0fbinary:logistic}}L\x00\x00\x00\x00\x00\x00\x00\x07version[$l#i\x03\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03}"
	xgbJSON := `{"learner":{"attributes":{"best_iteration":"12"},"feature_names":["f0","f1"],"feature_types":["float","float"],"gradient_booster":{"model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"1"},"iteration_indptr":[0,1],"tree_info":[0],"trees":[{"base_weights":[0.1,-0.2,0.3],"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_conditions":[0.5,-0.2,0.3],"split_indices":[0,0,0],"tree_param":{"num_deleted":"0","num_feature":"2","num_nodes":"3","size_leaf_vector":"1"}}]},"name":"gbtree"},"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"2"},"objective":{"name":"reg:squarederror","reg_loss_param":{"scale_pos_weight":"1"}}},"version":[2,0,3]}`
	b.pickle("xgboost-regressor", "xgb.pkl", pickle(4, instance("xgboost.sklearn.XGBRegressor", dictOf("n_estimators", 100, "objective", "reg:squarederror", "max_depth", 6, "missing", nan(), "random_state", 7, "kwargs", dictOf(), "_estimator_type", "regressor", "_Booster", booster(xgbJSON)))), "an XGBRegressor, whose booster is JSON in a bytearray")
	b.pickle("xgboost-classifier", "xgb_clf.pkl", pickle(5, instance("xgboost.sklearn.XGBClassifier", dictOf("n_estimators", nil, "objective", "binary:logistic", "use_label_encoder", nil, "n_classes_", 2, "enable_categorical", false, "_Booster", booster(ubj)))), "an XGBClassifier, whose booster is UBJSON in a bytearray")
	b.add("xgboost-json", "booster.json", xgbJSON, "a booster of XGBoost in JSON")
	b.add("xgboost-ubj", "booster.ubj", ubj, "a booster of XGBoost in UBJSON")
	lgb := "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=3\nobjective=binary sigmoid:1\nfeature_names=Column_0 Column_1 Column_2 Column_3\nfeature_infos=[0:1] [0:1] none [-1:1]\ntree_sizes=310\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=1\nsplit_gain=12.5\nthreshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=-0.1 0.2\nleaf_weight=10 12\nleaf_count=40 48\ninternal_value=0\ninternal_weight=0\ninternal_count=88\nis_linear=0\nshrinkage=1\n\n\nend of trees\n\nfeature_importances:\nColumn_1=1\n\nparameters:\n[boosting: gbdt]\n[objective: binary]\n[num_iterations: 100]\nend of parameters\n\npandas_categorical:null\n"
	b.add("lightgbm-text", "lgbm.txt", lgb, "a booster of LightGBM in text")
	b.pickle("lightgbm-classifier", "lgbm.pkl", pickle(4, instance("lightgbm.sklearn.LGBMClassifier", dictOf("boosting_type", "gbdt", "objective", nil, "num_leaves", 31, "class_weight", nil, "_Booster", instance("lightgbm.basic.Booster", dictOf("best_iteration", 0, "params", dictOf("num_leaves", 31), "handle", lgb, "pandas_categorical", nil, "train_set", nil)), "_n_features", 4, "_classes", numpy1.ints(820, 2, 2), "_evals_result", dictOf(), "_best_score", reduce("collections.defaultdict", glob("collections.OrderedDict"))))), "an LGBMClassifier")
	b.pickle("catboost", "cb.pkl", pickle(4, instance("catboost.core.CatBoostClassifier", dictOf("__model", blob("CBM1"+noise(821, 200)), "_init_params", dictOf("iterations", 100, "verbose", false), "_random_seed", 0))), "a CatBoostClassifier")
	b.add("catboost-cbm", "model.cbm", "CBM1"+le32(120)+"\x0c\x00\x00\x00\x08\x00\x0c\x00\x04\x00\x08\x00"+noise(822, 108), "CatBoost's own format")

	n := third("nlp-library")
	n.pickle("gensim-word2vec", "word2vec.model", pickle(4, instance("gensim.models.word2vec.Word2Vec", dictOf("vector_size", 16, "workers", 3, "epochs", 5, "hs", 0, "negative", 5, "sg", 1, "corpus_count", 100, "wv", instance("gensim.models.keyedvectors.KeyedVectors", dictOf("vector_size", 16, "index_to_key", listOf("the", "system"), "key_to_index", dictOf("the", 0, "system", 1), "vectors", numpy1.singles(823, 2, 16), "norms", nil, "expandos", dictOf("count", numpy1.ints(824, 90, 2)), "mapfile_path", nil)), "random", numpy1.randomState(825), "lifecycle_events", listOf(dictOf("params", "Word2Vec<vocab=2>", "datetime", "2024-01-01T00:00:00", "event", "created"))))), "a Word2Vec of gensim")
	n.pickle("gensim-dictionary", "corpus.dict", pickle(2, instance("gensim.corpora.dictionary.Dictionary", dictOf("token2id", dictOf("human", 0, "interface", 1), "id2token", dictOf(), "dfs", dictOf(0, 2, 1, 2), "num_docs", 9, "num_pos", 29, "num_nnz", 28))), "a Dictionary of gensim")
	n.add("word2vec-binary", "vectors.bin", "3 4\nthe "+weights(826, 4)+"\nof "+weights(827, 4)+"\nand "+weights(828, 4)+"\n", "vectors in word2vec's binary format")
	n.add("glove", "glove.6B.50d.txt", "the 0.418 0.24968 -0.41242 0.1217\nof 0.70853 0.57088 -0.4716 0.18048\nsystem -0.31 0.2 0.1 0.9\n", "vectors in GloVe's format")
	n.add("fasttext", "lid.176.ftz", le32(793712314)+le32(12)+le32(16)+le32(5)+le32(5)+noise(829, 400), "a compressed model of fastText")
	n.files("spacy-pipeline", "meta.json", map[string][]byte{"meta.json": []byte(`{"lang": "en", "name": "core_web_sm", "version": "3.7.1", "spacy_version": ">=3.7.2,<3.8.0", "vectors": {"width": 0, "vectors": 0, "keys": 0, "name": null}, "pipeline": ["tok2vec", "tagger", "ner"], "license": "MIT"}`), "config.cfg": []byte("[paths]\ntrain = null\n\n[nlp]\nlang = \"en\"\npipeline = [\"tok2vec\",\"ner\"]\n\n[nlp.tokenizer]\n@tokenizers = \"spacy.Tokenizer.v1\"\n\n[components.ner]\nfactory = \"ner\"\n\n[components.ner.model]\n@architectures = \"spacy.TransitionBasedParser.v2\"\nstate_type = \"ner\"\n"),
		"tokenizer": []byte("\x85\xadprefix_search\xc0\xadsuffix_search\xc0\xaeinfix_finditer\xc0\xabtoken_match\xc0\xa5rules\x80"), "vocab/strings.json": []byte(`["the", "system", "eval"]`), "vocab/vectors": []byte(npy("'<f4'", "(0, 0)", false, "")), "ner/model": []byte("\x86\xa5nodes\x91\x82\xa5index\x00\xa4name\xa5parse\xa5attrs\x90\xa6params\x90\xa5shims\x90\xa8versions\x80"), "ner/cfg": []byte(`{"moves": null, "update_with_oracle_cut_size": 100}`)}, "a pipeline of spaCy")
	n.pickle("nltk-punkt", "english.pickle", pickle(2, instance("nltk.tokenize.punkt.PunktSentenceTokenizer", dictOf("_params", instance("nltk.tokenize.punkt.PunktParameters", dictOf("abbrev_types", &setOf{[]any{"dr", "mr", "u.s"}}, "collocations", &setOf{}, "sent_starters", &setOf{[]any{"however"}}, "ortho_context", reduce("collections.defaultdict", glob("builtins.int")).withItems("the", 46))), "_lang_vars", instance("nltk.tokenize.punkt.PunktLanguageVars", nil), "_Token", glob("nltk.tokenize.punkt.PunktToken")))), "a sentence tokenizer of NLTK")
	n.pickle("crf-suite", "pos.pkl", pickle(4, instance("sklearn_crfsuite.estimator.CRF", dictOf("algorithm", "lbfgs", "c1", 0.1, "c2", 0.1, "max_iterations", 100, "modelfile", instance("sklearn_crfsuite._fileresource.FileResource", dictOf("auto", true, "suffix", ".crfsuite", "name", nil, "__FILE_CONTENT__", blob("lCRF"+noise(831, 80)))), "training_log_", nil))), "a CRF of sklearn-crfsuite")
	n.pickle("bertopic", "topics.pkl", pickle(4, dictOf("topics", listOf(0, 1, -1, 0), "topic_labels", dictOf(0, "0_game_team", 1, "1_windows_system"), "c_tf_idf", instance("scipy.sparse._csr.csr_matrix", dictOf("_shape", tup{2, 3}, "maxprint", 50, "indices", numpy1.array(dtype("i4"), tup{2}, le32(0)+le32(2)), "indptr", numpy1.array(dtype("i4"), tup{3}, le32(0)+le32(1)+le32(2)), "data", numpy1.floats(832, 2))))), "topics with a sparse matrix")

	o := third("other-model")
	o.pickle("statsmodels-ols", "ols.pickle", pickle(4, instance("statsmodels.regression.linear_model.RegressionResultsWrapper", dictOf("_results", instance("statsmodels.regression.linear_model.OLSResults", dictOf("params", numpy1.floats(833, 3), "normalized_cov_params", numpy1.floats(834, 3, 3), "scale", numpy1.float(1.5), "_use_t", true, "cov_type", "nonrobust"))))), "an OLS of statsmodels")
	o.add("prophet", "prophet.json", `{"growth": "linear", "n_changepoints": 25, "seasonality_mode": "additive", "holidays": null, "y_scale": 12.5, "changepoints": "{\"name\":\"ds\",\"index\":[1],\"data\":[\"2024-01-02T00:00:00.000\"]}", "params": {"k": [[0.1]], "m": [[0.5]]}, "__prophet_version": "1.1.5"}`, "a Prophet in JSON")
	o.pickle("surprise-svd", "svd.pkl", pickle(4, dictOf("predictions", nil, "algo", instance("surprise.prediction_algorithms.matrix_factorization.SVD", dictOf("n_factors", 10, "n_epochs", 20, "biased", true, "pu", numpy1.floats(835, 3, 10), "qi", numpy1.floats(836, 4, 10), "trainset", instance("surprise.trainset.Trainset", dictOf("ur", reduce("collections.defaultdict", glob("builtins.list")).withItems(0, listOf(tup{1, 4.0})), "n_users", 3, "rating_scale", tup{1, 5})))))), "a recommender of Surprise")
	o.add("faiss-flat", "index.faiss", "IxFl"+le32(8)+le64(3)+le64(1<<20)+le64(1<<20)+"\x01"+le32(1)+le64(24)+weights(837, 24), "a flat index of FAISS")
	o.add("annoy", "items.ann", noise(838, 640), "an index of Annoy, which has no header")
	o.add("ggml-whisper", "ggml-base.en.bin", "lmgg"+le32(51864)+le32(1500)+le32(512)+le32(8)+le32(6)+le32(448)+le32(512)+le32(8)+le32(6)+le32(80)+le32(1)+le32(80)+le32(201)+weights(839, 80*201)+le32(2)+le32(1)+"!"+le32(3)+" th"+le32(2)+le32(18)+le32(0)+le32(1)+le32(64)+"encoder.conv1.bias"+weights(840, 64), "a model of whisper.cpp in the old GGML format")
	o.add("darknet", "yolov3-tiny.weights", le32(0)+le32(2)+le32(0)+le64(32013312)+weights(840, 200), "weights of Darknet")
	o.files("ncnn", "model.param", map[string][]byte{"model.param": []byte("7767517\n3 3\nInput            data             0 1 data 0=224 1=224 2=3\nConvolution      conv1            1 1 data conv1 0=8 1=3 6=216\nSoftmax          prob             1 1 conv1 prob\n"), "model.bin": []byte(weights(841, 224))}, "a model of ncnn")
	o.files("paddle", "inference.pdiparams", map[string][]byte{"inference.pdiparams": []byte(le32(0) + le64(0) + le32(0) + le32(6) + "\x08\x05\x10\x04\x10\x04" + weights(842, 16)), "inference.yml": []byte("Global:\n  model_name: PP-OCRv4_mobile_rec\nPreProcess:\n  transform_ops:\n  - DecodeImage:\n      img_mode: BGR\n")}, "the parameters of a Paddle model")
	o.files("caffe", "deploy.prototxt", map[string][]byte{"deploy.prototxt": []byte("name: \"SSD\"\ninput: \"data\"\ninput_shape {\n  dim: 1\n  dim: 3\n  dim: 300\n  dim: 300\n}\nlayer {\n  name: \"conv1\"\n  type: \"Convolution\"\n  bottom: \"data\"\n  top: \"conv1\"\n  convolution_param { num_output: 8 kernel_size: 3 }\n}\n"), "model.caffemodel": []byte(pb(1, "SSD") + pb(100, pb(1, "conv1"), pb(2, "Convolution"), pb(7, pb(5, weights(843, 16)), pb(7, pbInts(1, 4, 4)))))}, "a model of Caffe")
	o.add("mxnet-symbol", "resnet-symbol.json", `{"nodes": [{"op": "null", "name": "data", "inputs": []}, {"op": "Convolution", "name": "conv0", "attrs": {"kernel": "(3, 3)", "num_filter": "8"}, "inputs": [[0, 0, 0]]}], "arg_nodes": [0], "heads": [[1, 0, 0]], "attrs": {"mxnet_version": ["int", 10700]}}`, "a graph of MXNet")
	o.add("pmml-forest", "forest.pmml", `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`+"\n"+`<PMML xmlns="http://www.dmg.org/PMML-4_4" xmlns:data="http://jpmml.org/jpmml-model/InlineTable" version="4.4"><Header><Application name="SkLearn2PMML package" version="0.105.0"/></Header><DataDictionary><DataField name="age" optype="continuous" dataType="double"/></DataDictionary><MiningModel functionName="classification"><Segmentation multipleModelMethod="average"><Segment id="1"><True/></Segment></Segmentation></MiningModel></PMML>`+"\n", "a forest in PMML")
	o.add("r-model", "fit.rds", gzipped(rds(rdsNamed("randomForest", []string{"type", "ntree", "importance"}, rdsText("classification"), rdsNumbers(500), rdsNumbers(0.2, 0.5, 0.3)))), "a random forest of R")
	o.add("vowpal-readable", "model.vw.txt", "Version 9.10.0\nId \nMin label:0\nMax label:1\nbits:18\n0 pairs:\nChecksum: 1234567\n:0\n100:0.25\n", "a readable model of Vowpal Wabbit")
	return join(b, n, o)
}
