package corpus

import "strings"

func benignJoblib() []Case {
	s := &set{technique: "joblib"}
	array := func(seed uint64, shape ...any) joblibArray {
		return joblibArray{"f8", tup(shape), doubles(seed, product(shape))}
	}
	scaler := func(seed uint64) *object {
		return instance("sklearn.preprocessing._data.StandardScaler", dictOf("with_mean", true, "with_std", true, "copy", true, "mean_", array(seed, 4), "var_", array(seed+1, 4), "scale_", array(seed+2, 4), "_sklearn_version", "1.3.2"))
	}
	logistic := func(seed uint64) *object {
		return instance("sklearn.linear_model._logistic.LogisticRegression", dictOf("penalty", "l2", "C", 1.0, "classes_", joblibArray{"i8", tup{3}, counts(seed, 3, 3)}, "coef_", array(seed, 3, 4), "intercept_", array(seed+1, 3), "_sklearn_version", "1.3.2"))
	}
	pipeline := instance("sklearn.pipeline.Pipeline", dictOf("steps", listOf(tup{"scale", scaler(1)}, tup{"clf", logistic(4)}), "memory", nil, "verbose", false))
	objects := numpy1.objects("berlin", "paris", nil)
	encoder := instance("sklearn.preprocessing._encoders.OneHotEncoder", dictOf("categories_", listOf(joblibArray{"O8", tup{3}, pickle(2, objects)}), "dtype", glob("numpy.float64"), "_sklearn_version", "1.3.2"))
	for i, v := range []any{pipeline, logistic(7), scaler(9), encoder, array(11, 200, 3), dictOf("x", array(12, 8), "meta", listOf("a", 1), "y", array(13, 2, 2))} {
		for _, proto := range []int{3, 4, 5} {
			s.add("plain-"+itoa(i)+"-protocol-"+itoa(proto), "model.joblib", pickle(proto, v), "joblib.dump without compression")
		}
	}
	for name, pack := range ordered("zlib", func(b string) string { return zlibbed(b, 3) }, "gzip", gzipped, "bz2", bzipped, "lzma", lzmaAlone, "xz", xzed, "lz4", lz4ed) {
		s.add(name+"-pipeline", "model.joblib."+name, pack(pickle(4, pipeline)), "a pipeline compressed with "+name)
		s.add(name+"-array", "array.pkl", pack(pickle(3, array(14, 500, 2))), "an array compressed with "+name)
	}
	return s.cases
}

// frames are pandas values as a version of pandas pickles them.
type frames struct{ numpyEra }

func (f frames) index(values ...any) *object {
	return reduce("pandas.core.indexes.base._new_Index", glob("pandas.core.indexes.base.Index"), dictOf("data", f.objects(values...), "name", nil))
}

func (f frames) rangeIndex(n int) *object {
	return reduce("pandas.core.indexes.base._new_Index", glob("pandas.core.indexes.range.RangeIndex"), dictOf("name", nil, "start", 0, "stop", n, "step", 1))
}

// block is a block as pandas 1.3 and later rebuild it.
func (f frames) block(values any, from, to, step, ndim int) *object {
	return reduce("pandas._libs.internals._unpickle_block", values, reduce("builtins.slice", from, to, step), ndim)
}

func (f frames) manager(axes *list, blocks ...any) *object {
	return reduce("pandas.core.internals.managers.BlockManager", tup(blocks), axes)
}

func (f frames) frame(manager *object) *object {
	return instance("pandas.core.frame.DataFrame", dictOf("_mgr", manager, "_typ", "dataframe", "_metadata", listOf(), "attrs", dictOf(), "_flags", dictOf("allows_duplicate_labels", true)))
}

func benignPandas() []Case {
	s := &set{technique: "pandas-pickle"}
	for name, f := range ordered("numpy-1", frames{numpy1}, "numpy-2", frames{numpy2}, "buffers", frames{numpy2b}) {
		proto := 4
		if f.buffer {
			proto = 5
		}
		put := func(variation string, v any, truth string) {
			if name == "numpy-2" && variation == "timestamps" {
				return // nothing of it depends on the version
			}
			s.pickle(variation+"-"+name, "frame.pkl", pickle(proto, v), truth)
		}
		put("frame", f.frame(f.manager(listOf(f.index("a", "b", "city"), f.rangeIndex(5)), f.block(f.floats(1, 2, 5), 0, 2, 1, 2), f.block(f.objects("x", "y", "z", nil, "os.system"), 2, 3, 1, 2))), "a DataFrame of numbers and text")
		series := instance("pandas.core.series.Series", dictOf("_mgr", reduce("pandas.core.internals.managers.SingleBlockManager", f.block(f.floats(2, 4), 0, 4, 1, 1), f.rangeIndex(4)), "_typ", "series", "_metadata", listOf("_name"), "attrs", dictOf(), "_flags", dictOf("allows_duplicate_labels", true), "_name", "price"))
		put("series", series, "a Series")
		multi := reduce("pandas.core.indexes.base._new_Index", glob("pandas.core.indexes.multi.MultiIndex"), dictOf("levels", listOf(f.index("a", "b"), f.index(1, 2)), "codes", listOf(f.array(dtype("i1"), tup{4}, "\x00\x00\x01\x01"), f.array(dtype("i1"), tup{4}, "\x00\x01\x00\x01")), "sortorder", nil, "names", listOf("k", "n")))
		put("multi-index", f.frame(f.manager(listOf(f.index("v"), multi), f.block(f.floats(3, 1, 4), 0, 1, 1, 2))), "a DataFrame with a MultiIndex")
		extension := func(class string, values, d any) *object {
			return reduce("pandas._libs.arrays.__pyx_unpickle_NDArrayBacked", glob(class), 9034896, nil).with(tup{d, values, dictOf()})
		}
		cat := extension("pandas.core.arrays.categorical.Categorical", f.array(dtype("i1"), tup{3}, "\x00\x01\x00"),
			instance("pandas.core.dtypes.dtypes.CategoricalDtype", dictOf("categories", f.index("low", "high"), "ordered", false)))
		put("categorical", f.frame(f.manager(listOf(f.index("level"), f.rangeIndex(3)), f.block(cat, 0, 1, 1, 2))), "a DataFrame with a categorical")
		stamp := reduce("pandas._libs.tslibs.timestamps._unpickle_timestamp", 1718458416000000000, nil, nil, 10)
		put("timestamps", listOf(stamp, reduce("pandas._libs.tslibs.nattype._nat_unpickle", nil), reduce("pandas._libs.tslibs.timedeltas._timedelta_unpickle", 86400000000000, 10)), "Timestamps and NaT")
		dates := reduce("pandas.core.indexes.datetimes._new_DatetimeIndex", glob("pandas.core.indexes.datetimes.DatetimeIndex"), dictOf("data", extension("pandas.core.arrays.datetimes.DatetimeArray", f.ints(4, 1<<40, 3), dtype("M8")), "name", "t", "tz", nil, "freq", nil))
		put("datetime-index", dates, "a DatetimeIndex")
	}
	old := instance("pandas.core.frame.DataFrame", dictOf("_data", instance("pandas.core.internals.managers.BlockManager", tup{listOf(numpy1.objects("a", "b"), numpy1.ints(1, 5, 3)), listOf(numpy1.floats(2, 2, 3)), listOf(numpy1.objects("a", "b")),
		dictOf("0.14.1", dictOf("axes", listOf(frames{numpy1}.index("a", "b"), frames{numpy1}.rangeIndex(3)), "blocks", listOf(dictOf("values", numpy1.floats(3, 2, 3), "mgr_locs", reduce("builtins.slice", 0, 2, 1)))))}), "_typ", "dataframe", "_metadata", listOf()))
	s.pickle("frame-pandas-0-25", "frame.pkl", pickle(4, old), "a DataFrame of pandas 0.25")
	s.pickle("frame-pandas-0-25-protocol-2", "frame.pkl", pickle(2, old), "the same in protocol 2")
	s.add("frame-gzip", "frame.pkl.gz", gzipped(pickle(4, old)), "to_pickle with compression")
	s.add("frame-zip", "frame.pkl.zip", zipOf("frame.pkl", pickle(4, old)), "to_pickle into a zip")
	return s.cases
}

func benignScipy() []Case {
	s := &set{technique: "scipy-pickle"}
	for i, v := range []*object{
		estimators{numpy1, "1.3.2"}.sparse("csr_matrix"), estimators{numpy1, "0.24.2"}.sparse("csr_matrix"),
		instance("scipy.sparse._csc.csc_matrix", dictOf("_shape", tup{3, 3}, "data", numpy2.floats(1, 2), "indices", numpy2.array(dtype("i4"), tup{2}, noise(1, 8)), "indptr", numpy2.array(dtype("i4"), tup{4}, noise(2, 16)))),
		instance("scipy.sparse._coo.coo_matrix", dictOf("_shape", tup{3, 3}, "row", numpy1.array(dtype("i4"), tup{2}, noise(3, 8)), "col", numpy1.array(dtype("i4"), tup{2}, noise(4, 8)), "data", numpy1.floats(2, 2), "has_canonical_format", false)),
		instance("scipy.sparse._csr.csr_array", dictOf("_shape", tup{2, 2}, "data", numpy2.floats(5, 1))),
		instance("scipy.stats._distn_infrastructure.rv_frozen", dictOf("args", tup{0.0, 1.0}, "kwds", dictOf())),
		instance("scipy.interpolate._cubic.CubicSpline", dictOf("x", numpy1.floats(6, 4), "c", numpy1.floats(7, 4, 3), "axis", 0, "extrapolate", true)),
	} {
		s.pickle("value-"+itoa(i), "value.pkl", pickle(4-i%3, v), "a value of scipy")
	}
	return s.cases
}

func benignBoosters() []Case {
	s := &set{technique: "boosting"}
	raw := "{L" + be64(7) + "learner{L" + be64(10) + "attributes{}L" + be64(13) + "feature_names[#L" + be64(0) + "}L" + be64(7) + "version[$i#L" + be64(3) + "\x02\x00\x03}"
	booster := instance("xgboost.core.Booster", dictOf("feature_names", listOf("age", "os"), "feature_types", nil, "handle", byteArray(raw)))
	xgb := instance("xgboost.sklearn.XGBClassifier", dictOf("n_estimators", 100, "objective", "binary:logistic", "max_depth", nil, "missing", nan(), "n_jobs", nil, "kwargs", dictOf(), "_Booster", booster, "_le", nil, "classes_", numpy1.ints(1, 2, 2), "n_classes_", 2))
	lgbText := "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=3\nobjective=binary sigmoid:1\nfeature_names=Column_0 Column_1\nfeature_infos=[0:1] [0:1]\ntree_sizes=120\n\nTree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 1\nsplit_gain=1 2\nthreshold=0.5 0.25\ndecision_type=2 2\nleft_child=1 -1\nright_child=-2 -3\nleaf_value=0.1 -0.1 0.2\nleaf_weight=1 1 1\nleaf_count=10 20 30\nshrinkage=1\n\nend of trees\n\nfeature_importances:\nColumn_0=1\n\nparameters:\n[boosting: gbdt]\n[objective: binary]\nend of parameters\n\npandas_categorical:null\n"
	best := reduce("collections.defaultdict", glob("collections.OrderedDict"))
	lgbBooster := instance("lightgbm.basic.Booster", dictOf("network", false, "train_set", nil, "params", dictOf("objective", "binary"), "best_iteration", -1, "best_score", best, "handle", lgbText))
	lgb := instance("lightgbm.sklearn.LGBMClassifier", dictOf("boosting_type", "gbdt", "num_leaves", 31, "_Booster", lgbBooster, "_n_features", 4, "_le", instance("lightgbm.compat._LGBMLabelEncoder", dictOf("classes_", numpy1.ints(2, 2, 2)))))
	cat := instance("catboost.core.CatBoostClassifier", dictOf("__cbm", blob("CBM1"+noise(3, 200)), "_init_params", dictOf("iterations", 10, "verbose", false), "_random_seed", 0))
	for name, v := range ordered[any]("xgboost-sklearn", xgb, "xgboost-booster", booster, "lightgbm-sklearn", lgb, "lightgbm-booster", lgbBooster, "catboost", cat) {
		s.protocols(name, v, "a "+name+" pickle", 2, 4, 5)
	}
	s.add("lightgbm-text", "model.txt", lgbText, "a LightGBM model in text")
	s.add("xgboost-json", "model.json", `{"learner":{"attributes":{},"feature_names":["system","eval"],"feature_types":[],"gradient_booster":{"model":{"gbtree_model_param":{"num_trees":"1"},"trees":[{"base_weights":[0.1,-0.2,0.3],"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_conditions":[0.5,0.1,0.2],"split_indices":[0,0,0]}]},"name":"gbtree"},"objective":{"name":"binary:logistic"}},"version":[2,0,3]}`, "an XGBoost model in JSON")
	s.add("xgboost-ubj", "model.ubj", raw, "an XGBoost model in UBJSON")
	s.add("xgboost-binary", "model.bin", "binf"+noise(4, 400), "an XGBoost model in its old binary format")
	s.add("catboost-cbm", "model.cbm", "CBM1"+noise(5, 600), "a CatBoost model")
	s.add("fasttext", "model.ftz", le32(793712314)+le32(12)+le32(100)+noise(6, 500), "a fastText model")
	s.add("vowpal", "model.vw", le32(6)+"9.8.0\x00"+noise(7, 300), "a Vowpal Wabbit model")
	return s.cases
}

func benignText() []Case {
	s := &set{technique: "text"}
	s.add("readme", "README.md", "---\nlicense: apache-2.0\nlanguage:\n- en\nbase_model: bert-base-uncased\ntags:\n- text-classification\nmetrics:\n- accuracy\n---\n\n# Model card\n\nRun `pip install transformers`, then:\n\n```python\nimport os\nfrom transformers import pipeline\nos.environ['HF_HOME'] = '/tmp'\nprint(pipeline('text-classification', model='x')('hello'))\n```\n", "a model card with code in it")
	s.add("readme-jinja", "README.md", "---\nlicense: mit\n---\n# Chat\n\nThe prompt is `{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}`; never pickle.loads() what you do not trust (os.system could be called).\n", "a model card that warns of pickles")
	s.add("license", "LICENSE", "Apache License\nVersion 2.0, January 2004\nhttp://www.apache.org/licenses/\n"+strings.Repeat("Licensed under the Apache License. ", 80)+"\n", "a licence")
	s.add("config-bert", "config.json", `{"architectures": ["BertForSequenceClassification"], "model_type": "bert", "hidden_size": 768, "num_attention_heads": 12, "vocab_size": 30522, "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}, "torch_dtype": "float32", "transformers_version": "4.41.2"}`, "a config")
	s.add("config-llama", "config.json", `{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rope_scaling": {"type": "linear", "factor": 2.0}, "quantization_config": {"bits": 4, "quant_method": "gptq"}, "_name_or_path": "meta-llama/Llama-2-7b-hf", "use_cache": true}`, "a quantised config")
	s.add("config-vision", "preprocessor_config.json", `{"do_normalize": true, "do_resize": true, "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}}`, "an image processor's config")
	s.add("generation", "generation_config.json", `{"bos_token_id": 1, "eos_token_id": [2, 32000], "do_sample": true, "temperature": 0.7, "transformers_version": "4.41.2"}`, "a generation config")
	s.add("adapter", "adapter_config.json", `{"base_model_name_or_path": "meta-llama/Llama-2-7b-hf", "peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", "auto_mapping": null}`, "a LoRA adapter's config")
	s.add("index", "model.safetensors.index.json", `{"metadata": {"total_size": 13476839424}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors", "model.embed_tokens.weight": "model-00001-of-00002.safetensors"}}`, "an index of shards")
	s.add("index-bin", "pytorch_model.bin.index.json", `{"metadata": {"total_size": 1000}, "weight_map": {"a.weight": "pytorch_model-00001-of-00002.bin", "b.weight": "pytorch_model-00002-of-00002.bin"}}`, "an index of pickled shards")
	s.add("sentence-transformers", "modules.json", `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]`, "the modules of a sentence encoder")
	s.add("diffusers", "model_index.json", `{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.27.0", "unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": ["transformers", "CLIPTextModel"]}`, "a diffusion pipeline's index")
	s.add("hydra-config", "config.yaml", "model:\n  _target_: torch.nn.Linear\n  in_features: 4\n  out_features: 2\noptimizer:\n  _target_: torch.optim.AdamW\n  lr: 0.001\n", "a hydra config of layers and optimizers")
	s.add("nemo-config", "model_config.yaml", "preprocessor:\n  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor\n  features: 80\nencoder:\n  _target_: nemo.collections.asr.modules.ConformerEncoder\ntarget: nemo.collections.asr.models.EncDecCTCModelBPE\n", "a NeMo config")
	s.add("lightning-hparams", "hparams.yaml", "batch_size: 32\nlr: 1.0e-3\nsystem: linux\neval_every: 10\nimport_path: null\n", "hyperparameters")
	s.add("yolo-yaml", "data.yaml", "train: ../images/train\nval: ../images/val\nnc: 2\nnames: ['cat', 'dog']\n", "a data set's description with relative paths")
	s.add("dvc", "model.dvc", "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 10\n  path: model.pkl\n", "a DVC pointer")
	s.add("conda", "environment.yml", "name: train\ndependencies:\n  - python=3.11\n  - pip:\n    - torch==2.3.1\n", "an environment")
	s.add("mlmodel", "MLmodel", "artifact_path: model\nflavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n  sklearn:\n    serialization_format: cloudpickle\n    sklearn_version: 1.3.2\n", "an MLflow description")
	s.add("requirements", "requirements.txt", "torch>=2.0\nnumpy==1.26.4\n", "requirements")
	s.add("training-log", "train_log.txt", strings.Repeat("epoch 1 step 10 loss 0.53 lr 1e-4\n", 200), "a log")
	s.add("results", "all_results.json", `{"epoch": 3.0, "eval_accuracy": 0.91, "eval_loss": 0.3, "eval_runtime": 12.5}`, "results")
	s.add("trainer-state", "trainer_state.json", `{"best_metric": null, "epoch": 3.0, "global_step": 1500, "log_history": [{"epoch": 0.1, "loss": 2.3, "step": 50}], "max_steps": 1500}`, "a trainer's state")
	s.add("pmml-tree", "model.pmml", `<?xml version="1.0" encoding="UTF-8"?><PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header><Application name="JPMML-SkLearn"/></Header><DataDictionary><DataField name="x" optype="continuous" dataType="double"/></DataDictionary><TreeModel functionName="classification"><MiningSchema><MiningField name="x"/></MiningSchema><Node score="a"><True/></Node></TreeModel></PMML>`, "a PMML tree")
	s.add("pmml-regression", "model.pmml", `<?xml version="1.0"?><!-- an ENTITY-free file --><PMML version="4.2" xmlns="http://www.dmg.org/PMML-4_2"><Header/><DataDictionary numberOfFields="1"><DataField name="y" optype="continuous" dataType="double"/></DataDictionary><RegressionModel functionName="regression"><MiningSchema/><RegressionTable intercept="1.5"><NumericPredictor name="x" coefficient="2"/></RegressionTable></RegressionModel></PMML>`, "a PMML regression")
	s.add("plain-python-words", "notes.txt", "os.system, eval and exec are functions; __import__('os') imports.\nimport pickle\npickle.loads(b'cos\\nsystem\\n(S\"true\"\\ntR.')\n", "a text about code")
	s.add("sql", "schema.sql", "CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT);\n", "a schema")
	s.add("german-text", "LIESMICH.txt", "Das Modell wurde auf öffentlichen Daten trainiert. Grüße.\n", "text in UTF-8")
	return s.cases
}
