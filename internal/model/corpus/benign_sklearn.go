package corpus

// estimators are fitted scikit-learn models, as an era of numpy and a version of
// scikit-learn leave their attributes.
type estimators struct {
	numpyEra
	version string
}

// of is an estimator's state behind NEWOBJ; the version is its last key.
func (e estimators) of(class string, attributes ...any) *object {
	return instance("sklearn."+class, dictOf(append(attributes, "_sklearn_version", e.version)...))
}

func (e estimators) linear(class string, extra ...any) *object {
	return e.of("linear_model."+class, append([]any{"fit_intercept", true, "copy_X", true, "n_jobs", nil, "n_features_in_", 4,
		"feature_names_in_", e.objects("age", "income", "score", "os"), "coef_", e.floats(1, 4), "intercept_", e.float(0.25)}, extra...)...)
}

func (e estimators) classifier(class string, extra ...any) *object {
	return e.of(class, append([]any{"n_features_in_", 4, "classes_", e.ints(2, 3, 3)}, extra...)...)
}

// tree is the compiled tree below a decision tree.
func (e estimators) tree(outputs int) *object {
	nodes := recordType(64, field{"left_child", "i8", 0}, field{"right_child", "i8", 8}, field{"feature", "i8", 16}, field{"threshold", "f8", 24},
		field{"impurity", "f8", 32}, field{"n_node_samples", "i8", 40}, field{"weighted_n_node_samples", "f8", 48}, field{"missing_go_to_left", "u1", 56})
	return reduce("sklearn.tree._tree.Tree", 4, e.ints(3, 2, 1), outputs).with(dictOf("max_depth", 2, "node_count", 5,
		"nodes", e.array(nodes, tup{5}, noise(4, 320)), "values", e.floats(5, 5, outputs, 2)))
}

func (e estimators) decisionTree(class string) *object {
	return e.classifier("tree._classes."+class, "criterion", "gini", "splitter", "best", "max_depth", nil, "random_state", 209652396,
		"n_outputs_", 1, "n_classes_", e.scalar("i8", le64(3)), "max_features_", 2, "tree_", e.tree(1))
}

func (e estimators) forest(class, treeClass string) *object {
	trees := &list{}
	for range 3 {
		trees.items = append(trees.items, e.decisionTree(treeClass))
	}
	base := e.of("tree._classes."+treeClass, "criterion", "gini", "max_depth", nil)
	return e.classifier("ensemble."+class, "estimator", base, "n_estimators", 3, "bootstrap", true, "oob_score", false, "n_jobs", -1, "random_state", 0,
		"verbose", 0, "warm_start", false, "estimator_params", tup{"criterion", "max_depth", "min_samples_split"}, "estimators_", trees)
}

func (e estimators) scaler() *object {
	return e.of("preprocessing._data.StandardScaler", "with_mean", true, "with_std", true, "copy", true, "n_features_in_", 4,
		"n_samples_seen_", e.scalar("i8", le64(150)), "mean_", e.floats(6, 4), "var_", e.floats(7, 4), "scale_", e.floats(8, 4))
}

func (e estimators) logistic() *object {
	return e.classifier("linear_model._logistic.LogisticRegression", "penalty", "l2", "C", 1.0, "solver", "lbfgs", "max_iter", 100, "multi_class", "auto",
		"coef_", e.floats(9, 3, 4), "intercept_", e.floats(10, 3), "n_iter_", e.array(dtype("i4"), tup{1}, le32(12)))
}

func (e estimators) sparse(class string) *object {
	module := "scipy.sparse._csr"
	if e.version < "1.1" {
		module = "scipy.sparse.csr"
	}
	return instance(module+"."+class, dictOf("_shape", tup{3, 3}, "maxprint", 50, "indices", e.array(dtype("i4"), tup{3}, noise(11, 12)),
		"indptr", e.array(dtype("i4"), tup{4}, noise(12, 16)), "data", e.floats(13, 3), "_has_sorted_indices", true))
}

// named lists a name and an estimator in turn.
type named struct {
	name  string
	value *object
}

func (e estimators) all() []named {
	svm := func(class string, extra ...any) *object {
		return e.classifier("svm._classes."+class, append([]any{"decision_function_shape", "ovr", "break_ties", false, "kernel", "rbf", "degree", 3, "gamma", "scale", "C", 1.0, "class_weight_", e.floats(1, 3),
			"support_", e.array(dtype("i4"), tup{2}, noise(1, 8)), "support_vectors_", e.floats(2, 2, 4), "_n_support", e.array(dtype("i4"), tup{3}, noise(3, 12)), "dual_coef_", e.floats(4, 2, 2), "intercept_", e.floats(5, 3), "_probA", e.floats(6, 1), "fit_status_", 0}, extra...)...)
	}
	binarizer := e.of("preprocessing._label.LabelBinarizer", "neg_label", 0, "pos_label", 1, "y_type_", "multiclass", "classes_", e.ints(7, 3, 3))
	kernel := e.of("gaussian_process.kernels.Product", "k1", e.of("gaussian_process.kernels.ConstantKernel", "constant_value", 1.0, "constant_value_bounds", tup{1e-5, 1e5}), "k2", e.of("gaussian_process.kernels.RBF", "length_scale", 1.0, "length_scale_bounds", tup{1e-5, 1e5}))
	kd := reduce("sklearn.neighbors._kd_tree.newObj", glob("sklearn.neighbors._kd_tree.KDTree")).with(tup{e.floats(1, 5, 2), e.ints(2, 5, 5), e.array(recordType(32, field{"idx_start", "i8", 0}, field{"idx_end", "i8", 8}, field{"is_leaf", "i8", 16}, field{"radius", "f8", 24}), tup{1}, noise(1, 32)), e.floats(3, 2, 1, 2), 30, 1, 1, 0, 0, 0, 0,
		reduce("sklearn.metrics._dist_metrics.newObj", glob("sklearn.metrics._dist_metrics.EuclideanDistance")).with(tup{2.0, e.floats(4, 1), e.floats(5, 1, 1)}), nil})
	vectorizer := func(class string, extra ...any) *object {
		return e.of("feature_extraction.text."+class, append([]any{"input", "content", "encoding", "utf-8", "decode_error", "strict", "strip_accents", nil, "preprocessor", nil, "tokenizer", nil, "analyzer", "word", "lowercase", true,
			"token_pattern", `(?u)\b\w\w+\b`, "stop_words", nil, "ngram_range", tup{1, 2}, "vocabulary", nil, "dtype", glob("numpy.int64"), "fixed_vocabulary_", false,
			"vocabulary_", dictOf("system", 0, "os", 1, "eval", 2, "exec", 3, "import", 4)}, extra...)...)
	}
	tfidf := e.of("feature_extraction.text.TfidfTransformer", "norm", "l2", "use_idf", true, "smooth_idf", true, "idf_", e.floats(8, 5))
	hist := e.classifier("ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier", "loss", "log_loss", "learning_rate", 0.1, "max_iter", 100,
		"_loss", instance("sklearn._loss.loss.HalfBinomialLoss", dictOf("closs", reduce("sklearn._loss._loss.CyHalfBinomialLoss"), "link", instance("sklearn._loss.link.LogitLink", dictOf("interval_y_pred", nil)), "n_classes", 2)),
		"_bin_mapper", e.of("ensemble._hist_gradient_boosting.binning._BinMapper", "n_bins", 256, "bin_thresholds_", listOf(e.floats(1, 3), e.floats(2, 3))),
		"_predictors", listOf(listOf(instance("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", dictOf("nodes", e.array(recordType(16, field{"value", "f8", 0}, field{"count", "u4", 8}, field{"feature_idx", "i4", 12}), tup{3}, noise(5, 48)), "binned_left_cat_bitsets", e.array(dtype("u4"), tup{0, 8}, ""))))),
		"_random_seed", e.scalar("u8", noise(6, 8)))
	gb := e.classifier("ensemble._gb.GradientBoostingClassifier", "n_estimators", 2, "learning_rate", 0.1, "loss", "log_loss", "init_", e.classifier("dummy.DummyClassifier", "strategy", "prior", "class_prior_", e.floats(1, 3)),
		"_loss", instance("sklearn.ensemble._gb_losses.BinomialDeviance", dictOf("K", 1)), "_rng", e.randomState(9), "estimators_", e.objects(e.decisionTree("DecisionTreeRegressor"), e.decisionTree("DecisionTreeRegressor")), "train_score_", e.floats(2, 2))
	pipeline := func(steps ...any) *object {
		l := &list{}
		for i := 0; i < len(steps); i += 2 {
			l.items = append(l.items, tup{steps[i], steps[i+1]})
		}
		return e.of("pipeline.Pipeline", "steps", l, "memory", nil, "verbose", false)
	}
	columns := e.of("compose._column_transformer.ColumnTransformer", "transformers", listOf(tup{"num", e.scaler(), listOf("age", "income")}, tup{"cat", "passthrough", listOf("city")}), "remainder", "drop", "sparse_threshold", 0.3, "n_jobs", nil,
		"_feature_names_in", e.objects("age", "income", "city"), "transformers_", listOf(tup{"num", e.scaler(), listOf("age", "income")}), "output_indices_", dictOf("num", reduce("builtins.slice", 0, 2, nil)))
	onehot := e.of("preprocessing._encoders.OneHotEncoder", "categories", "auto", "handle_unknown", "ignore", "dtype", glob("numpy.float64"), "categories_", listOf(e.objects("berlin", "paris"), e.objects("a", "b", nil)), "drop_idx_", nil)
	mlp := e.classifier("neural_network._multilayer_perceptron.MLPClassifier", "activation", "relu", "solver", "adam", "hidden_layer_sizes", tup{16}, "coefs_", listOf(e.floats(1, 4, 16), e.floats(2, 16, 3)), "intercepts_", listOf(e.floats(3, 16), e.floats(4, 3)),
		"_optimizer", e.of("neural_network._stochastic_optimizers.AdamOptimizer", "beta_1", 0.9, "ms", listOf(e.floats(5, 4, 16))), "_label_binarizer", binarizer, "_random_state", e.randomState(10), "loss_curve_", listOf(1.0, 0.5), "out_activation_", "softmax")
	grid := e.of("model_selection._search.GridSearchCV", "scoring", nil, "estimator", svm("SVC"), "param_grid", dictOf("C", listOf(1, 10)), "scorer_", glob("sklearn.metrics._scorer._passthrough_scorer"), "best_params_", dictOf("C", 10), "best_score_", e.float(0.97),
		"cv_results_", dictOf("mean_test_score", e.floats(1, 2), "param_C", reduce("numpy.ma.core._mareconstruct", glob("numpy.ma.core.MaskedArray"), glob("numpy.ndarray"), tup{0}, "b").with(tup{1, tup{2}, dtype("O8"), false, listOf(1, 10), blob("\x00\x00"), "?"})), "best_estimator_", svm("SVC"))
	scorer := reduce("sklearn.metrics._scorer._PredictScorer", glob("sklearn.metrics._classification.f1_score"), 1, dictOf("average", "macro"))
	scorer.newObj, scorer.args, scorer.state = true, nil, dictOf("_score_func", glob("sklearn.metrics._classification.f1_score"), "_sign", 1, "_kwargs", dictOf("average", "macro"))
	gmm := e.of("mixture._gaussian_mixture.GaussianMixture", "n_components", 2, "covariance_type", "full", "weights_", e.floats(1, 2), "means_", e.floats(2, 2, 4), "covariances_", e.floats(3, 2, 4, 4), "converged_", true)
	kmeans := e.of("cluster._kmeans.KMeans", "n_clusters", 3, "init", "k-means++", "random_state", e.randomState(11), "cluster_centers_", e.floats(1, 3, 4), "labels_", e.array(dtype("i4"), tup{5}, noise(1, 20)), "inertia_", 12.5, "_n_threads", 2)
	return []named{
		{"linear-regression", e.linear("_base.LinearRegression", "rank_", 4, "singular_", e.floats(3, 4))}, {"ridge", e.linear("_ridge.Ridge", "alpha", 1.0, "solver", "auto")},
		{"lasso", e.linear("_coordinate_descent.Lasso", "alpha", 0.1, "selection", "cyclic")}, {"elastic-net", e.linear("_coordinate_descent.ElasticNet", "l1_ratio", 0.5)},
		{"logistic-regression", e.logistic()}, {"sgd-classifier", e.classifier("linear_model._stochastic_gradient.SGDClassifier", "loss", "hinge", "coef_", e.floats(1, 1, 4), "loss_function_", reduce("sklearn.linear_model._sgd_fast.Hinge", 1.0), "t_", 751.0)},
		{"perceptron", e.classifier("linear_model._perceptron.Perceptron", "coef_", e.floats(2, 3, 4))}, {"svc", svm("SVC")}, {"linear-svc", e.classifier("svm._classes.LinearSVC", "coef_", e.floats(3, 3, 4))}, {"one-class-svm", svm("OneClassSVM", "nu", 0.5, "offset_", e.floats(4, 1))},
		{"decision-tree", e.decisionTree("DecisionTreeClassifier")}, {"random-forest", e.forest("_forest.RandomForestClassifier", "DecisionTreeClassifier")}, {"extra-trees", e.forest("_forest.ExtraTreesRegressor", "ExtraTreeRegressor")},
		{"isolation-forest", e.forest("_iforest.IsolationForest", "ExtraTreeRegressor")}, {"ada-boost", e.forest("_weight_boosting.AdaBoostClassifier", "DecisionTreeClassifier")}, {"bagging", e.forest("_bagging.BaggingClassifier", "DecisionTreeClassifier")},
		{"gradient-boosting", gb}, {"hist-gradient-boosting", hist}, {"voting", e.classifier("ensemble._voting.VotingClassifier", "estimators", listOf(tup{"lr", e.logistic()}, tup{"nb", e.classifier("naive_bayes.GaussianNB", "theta_", e.floats(1, 3, 4))}), "voting", "soft", "le_", e.of("preprocessing._label.LabelEncoder", "classes_", e.objects("cat", "dog")))},
		{"gaussian-nb", e.classifier("naive_bayes.GaussianNB", "class_count_", e.floats(1, 3), "theta_", e.floats(2, 3, 4), "var_", e.floats(3, 3, 4))}, {"multinomial-nb", e.classifier("naive_bayes.MultinomialNB", "feature_log_prob_", e.floats(4, 3, 4))},
		{"k-neighbors", e.classifier("neighbors._classification.KNeighborsClassifier", "n_neighbors", 5, "algorithm", "auto", "metric", "minkowski", "_fit_X", e.floats(5, 5, 2), "_y", e.ints(6, 3, 5), "_tree", kd, "_fit_method", "kd_tree")},
		{"k-means", kmeans}, {"dbscan", e.of("cluster._dbscan.DBSCAN", "eps", 0.5, "labels_", e.ints(7, 3, 5), "core_sample_indices_", e.ints(8, 5, 3))}, {"gaussian-mixture", gmm},
		{"pca", e.of("decomposition._pca.PCA", "n_components", 2, "components_", e.floats(1, 2, 4), "explained_variance_", e.floats(2, 2), "mean_", e.floats(3, 4), "_fit_svd_solver", "full")}, {"truncated-svd", e.of("decomposition._truncated_svd.TruncatedSVD", "components_", e.floats(4, 2, 4))},
		{"lda-topics", e.of("decomposition._lda.LatentDirichletAllocation", "components_", e.floats(5, 2, 9), "random_state_", e.randomState(12))}, {"mlp", mlp},
		{"standard-scaler", e.scaler()}, {"one-hot", onehot}, {"label-encoder", e.of("preprocessing._label.LabelEncoder", "classes_", e.texts("cat", "dog", "eval"))}, {"simple-imputer", e.of("impute._base.SimpleImputer", "missing_values", nan(), "strategy", "mean", "statistics_", e.floats(6, 4), "_fill_dtype", dtype("f8"))},
		{"polynomial", e.of("preprocessing._polynomial.PolynomialFeatures", "degree", 2, "_min_degree", 0)}, {"function-transformer", e.of("preprocessing._function_transformer.FunctionTransformer", "func", glob("numpy.log1p"), "inverse_func", glob("numpy.expm1"), "validate", false)},
		{"count-vectorizer", vectorizer("CountVectorizer")}, {"tfidf-vectorizer", vectorizer("TfidfVectorizer", "_tfidf", tfidf)}, {"text-pipeline", pipeline("tfidf", vectorizer("TfidfVectorizer", "_tfidf", tfidf), "clf", e.logistic())},
		{"tabular-pipeline", pipeline("prep", columns, "clf", e.forest("_forest.RandomForestClassifier", "DecisionTreeClassifier"))}, {"grid-search", grid}, {"scorer", scorer},
		{"gaussian-process", e.of("gaussian_process._gpr.GaussianProcessRegressor", "kernel", kernel, "kernel_", kernel, "alpha_", e.floats(1, 5), "L_", e.floats(2, 5, 5), "_rng", e.randomState(13))},
		{"calibrated", e.classifier("calibration.CalibratedClassifierCV", "method", "sigmoid", "calibrated_classifiers_", listOf(instance("sklearn.calibration._CalibratedClassifier", dictOf("estimator", e.logistic(), "calibrators", listOf(e.of("calibration._SigmoidCalibration", "a_", -1.5, "b_", 0.1)), "classes", e.ints(1, 3, 3)))))},
		{"isotonic", e.of("isotonic.IsotonicRegression", "increasing", true, "X_thresholds_", e.floats(3, 4), "f_", instance("scipy.interpolate._interpolate.interp1d", dictOf("x", e.floats(4, 4), "_y", e.floats(5, 4, 1), "_kind", "linear", "axis", 0)))},
		{"one-vs-rest", e.of("multiclass.OneVsRestClassifier", "estimator", e.logistic(), "label_binarizer_", binarizer, "estimators_", listOf(e.logistic(), e.logistic()))}, {"sparse-matrix", e.sparse("csr_matrix")},
		{"bunch", func() *object {
			b := instance("sklearn.utils._bunch.Bunch", dictOf("_deprecated_key_to_warnings", dictOf()))
			b.dictItems = [][2]any{{"data", e.floats(1, 5, 4)}, {"target", e.ints(2, 3, 5)}, {"DESCR", "A data set."}}
			return b
		}()},
	}
}

func nan() float64 { z := 0.0; return z / z }

func benignSklearn() []Case {
	s := &set{technique: "sklearn-pickle"}
	eras := []struct {
		name  string
		e     estimators
		proto int
	}{
		{"1-3", estimators{numpy1, "1.3.2"}, 4}, {"1-5", estimators{numpy2, "1.5.1"}, 4}, {"0-24", estimators{numpy1, "0.24.2"}, 3}, {"1-5-buffers", estimators{numpy2b, "1.5.1"}, 5}, {"0-22-python-2", estimators{numpy1, "0.22.1"}, 2},
	}
	for k, era := range eras {
		for i, m := range era.e.all() {
			if k == 0 || i%5 == k { // all in one version, a fifth in each of the others
				s.pickle(m.name+"-"+era.name, "model.pkl", pickle(era.proto, m.value), "a fitted scikit-learn "+m.name)
			}
		}
	}
	return s.cases
}
