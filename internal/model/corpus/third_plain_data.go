package corpus

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// thirdPNG is a grey picture of w by h pixels.
func thirdPNG(seed uint64, w, h int, chunks ...string) string {
	chunk := func(kind, data string) string {
		return be32(len(data)) + kind + data + be32(int(crc32.ChecksumIEEE([]byte(kind+data))))
	}
	raw := ""
	for y := range h {
		raw += "\x00" + noise(seed+uint64(y), w)
	}
	s := "\x89PNG\r\n\x1a\n" + chunk("IHDR", be32(w)+be32(h)+"\x08\x00\x00\x00\x00")
	for _, text := range chunks {
		s += chunk("tEXt", text)
	}
	return s + chunk("IDAT", zlibbed(raw, 9)) + chunk("IEND", "")
}

func thirdWAV(seed uint64, samples int) string {
	data := noise(seed, 2*samples)
	return "RIFF" + le32(36+len(data)) + "WAVEfmt " + le32(16) + le16(1) + le16(1) + le32(16000) + le32(32000) + le16(2) + le16(16) + "data" + le32(len(data)) + data
}

// thirdRecord is one record of TFRecord with its masked checksums.
func thirdRecord(data string) string {
	mask := func(s string) string {
		c := crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli))
		return string(binary.LittleEndian.AppendUint32(nil, (c>>15|c<<17)+0xa282ead8))
	}
	n := le64(len(data))
	return n + mask(n) + data + mask(data)
}

func thirdParquet[T any](rows []T, options ...parquet.WriterOption) string {
	var b bytes.Buffer
	if err := parquet.Write(&b, rows, options...); err != nil {
		panic("corpus: parquet: " + err.Error())
	}
	return b.String()
}

func thirdPlainNumpy() []Case {
	s := third("numpy")
	s.add("embeddings", "embeddings.npy", npy("'<f4'", "(100, 16)", false, weights(910, 1600)), "embeddings")
	s.add("labels", "y_train.npy", npy("'<i8'", "(50,)", false, counts(911, 50, 10)), "labels")
	s.add("half", "features_fp16.npy", npy("'<f2'", "(10, 8)", false, noise(912, 160)), "features in half precision")
	s.add("images", "x_test.npy", npy("'|u1'", "(4, 28, 28)", false, noise(913, 3136)), "pictures")
	s.add("bools", "mask.npy", npy("'|b1'", "(8, 8)", false, strings.Repeat("\x00\x01", 32)), "a mask")
	s.add("complex", "spectrum.npy", npy("'<c8'", "(16,)", false, weights(914, 32)), "a spectrum")
	s.add("fortran", "basis.npy", npy("'<f8'", "(8, 4)", true, doubles(915, 32)), "an array in Fortran's order")
	s.add("unicode", "classes.npy", npy("'<U10'", "(3,)", false, strings.Repeat("c\x00\x00\x00"+strings.Repeat("\x00", 36), 3)), "texts of fixed width")
	s.add("dates", "time.npy", npy("'<M8[ns]'", "(4,)", false, counts(916, 4, 1<<40)), "times")
	s.add("records", "tracks.npy", npy("[('id', '<i4'), ('box', '<f4', (4,)), ('score', '<f8')]", "(5,)", false, noise(917, 140)), "records with a subarray")
	s.add("big-endian", "mnist_be.npy", npy("'>f4'", "(6,)", false, noise(918, 24)), "an array of another machine")
	s.add("scalar", "threshold.npy", npy("'<f8'", "()", false, lef64(0.5)), "one number")
	s.add("version-2", "wide.npy", npyHeader(2, "{'descr': ["+wideFields(3000)+"], 'fortran_order': False, 'shape': (1,), }")+noise(919, 12000), "3,000 named columns, for which the header of version 1 is too short")
	s.add("npz", "fid_stats.npz", string(archive{members: []member{{name: "mu.npy", data: npy("'<f8'", "(8,)", false, doubles(920, 8))}, {name: "sigma.npy", data: npy("'<f8'", "(8, 8)", false, doubles(921, 64))}}}.bytes()), "two arrays, as numpy.savez writes")
	s.add("npz-compressed", "dataset.npz", thirdZip("x_train.npy", npy("'|u1'", "(10, 8)", false, strings.Repeat("\x00\x10", 40)), "y_train.npy", npy("'<i8'", "(10,)", false, counts(922, 10, 3))), "numpy.savez_compressed")
	s.add("npz-sparse", "tfidf.npz", string(archive{members: []member{{name: "indices.npy", data: npy("'<i4'", "(3,)", false, le32(0)+le32(1)+le32(2))}, {name: "indptr.npy", data: npy("'<i4'", "(3,)", false, le32(0)+le32(2)+le32(3))}, {name: "format.npy", data: npy("'|S3'", "()", false, "csr")}, {name: "shape.npy", data: npy("'<i8'", "(2,)", false, le64(2)+le64(3))}, {name: "data.npy", data: npy("'<f8'", "(3,)", false, doubles(923, 3))}}}.bytes()), "scipy.sparse.save_npz")
	s.add("npz-flax", "ViT-B_16.npz", thirdZip("Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel.npy", npy("'<f4'", "(8, 4)", false, weights(924, 32)), "head/bias.npy", npy("'<f4'", "(4,)", false, weights(925, 4))), "weights of Flax in an npz with folders")
	s.pickle("array-dict-pickle", "stats.pkl", pickle(4, dictOf("mean", numpy1.floats(926, 4), "std", numpy1.floats(927, 4), "count", numpy1.scalar("i8", le64(1000)))), "statistics in a pickle")
	s.pickle("observation-normaliser", "vecnormalize.pkl", pickle(4, instance("stable_baselines3.common.vec_env.vec_normalize.VecNormalize", dictOf("clip_obs", 10.0, "obs_rms", instance("stable_baselines3.common.running_mean_std.RunningMeanStd", dictOf("mean", numpy1.floats(928, 4), "var", numpy1.floats(929, 4), "count", 1000.0001)), "gamma", 0.99, "training", true))), "a normaliser of Stable Baselines")
	s.pickle("cifar-batch", "test_batch", pickle(2, dictOf(blob("batch_label"), blob("testing batch 1 of 1"), blob("labels"), listOf(3, 8, 8), blob("data"), numpy1.array(heldOctets("u1"), tup{3, 32}, noise(930, 96)), blob("filenames"), listOf(blob("cat.png")))), "a batch of CIFAR-10")
	return s.cases
}

func wideFields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("('feature_column_" + itoa(i) + "', '<f4'), ")
	}
	return b.String()
}

func thirdPlainData() []Case {
	s := third("data")
	type pair struct {
		Prompt   string  `parquet:"prompt"`
		Response string  `parquet:"response"`
		Score    float64 `parquet:"score"`
	}
	var rows []pair
	var lines, table strings.Builder
	for i := range 60 {
		rows = append(rows, pair{"How do I call os.system number " + itoa(i) + "?", "With subprocess.run instead.", float64(i) / 60})
		lines.WriteString(`{"messages": [{"role": "user", "content": "Question ` + itoa(i) + `: what does eval(x) do?"}, {"role": "assistant", "content": "It evaluates x."}]}` + "\n")
		table.WriteString(itoa(i) + `,"A, quoted ""text"" ` + itoa(i) + `",` + itoa(i%2) + "\n")
	}
	s.add("parquet-snappy", "data/train-00000-of-00001.parquet", thirdParquet(rows, parquet.Compression(&parquet.Snappy)), "conversations in Parquet")
	s.add("parquet-zstd", "data/test-00000-of-00001.parquet", thirdParquet(rows[:20], parquet.Compression(&parquet.Zstd)), "conversations in Parquet with zstd")
	s.add("jsonl-chat", "train.jsonl", lines.String(), "conversations")
	s.add("jsonl-gzip", "train.jsonl.gz", gzipped(lines.String()), "conversations in gzip")
	s.add("jsonl-zstd", "pile_uncopyrighted.jsonl.zst", zstded(lines.String()), "texts in zstd")
	s.add("csv", "train.csv", "id,text,label\n"+table.String(), "a table")
	s.add("csv-excel", "sales.csv", "\xef\xbb\xbfdate;amount\r\n2024-01-02;1,50\r\n2024-01-03;-2,25\r\n", "a table of a spreadsheet in German")
	s.add("tsv", "dev.tsv", "sentence\tlabel\na fine film\t1\nnot at all\t0\n", "a table with tabs")
	s.add("alpaca-json", "alpaca_data.json", `[{"instruction": "Write a function that lists files.", "input": "", "output": "import os\n\ndef ls(p):\n    return os.listdir(p)"}, {"instruction": "Explain pickle.", "input": "", "output": "__reduce__ returns a callable and its arguments."}]`, "instructions")
	s.add("coco-json", "instances_val.json", `{"info": {"year": 2017}, "images": [{"id": 1, "file_name": "000000000139.jpg", "height": 426, "width": 640}], "annotations": [{"id": 1, "image_id": 1, "category_id": 64, "bbox": [236.98, 142.51, 24.7, 69.5], "iscrowd": 0}], "categories": [{"id": 64, "name": "potted plant"}]}`, "annotations of COCO")
	s.add("dataset-infos", "dataset_infos.json", `{"default": {"features": {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}, "splits": {"train": {"name": "train", "num_bytes": 1000, "num_examples": 10}}}}`, "a data set's description")
	s.add("conll", "train.conll", "EU B-ORG\nrejects O\nGerman B-MISC\ncall O\n\nPeter B-PER\nBlackburn I-PER\n", "tagged words")
	s.add("tfrecord", "train.tfrecord-00000-of-00010", thirdRecord(pb(1, pb(1, pb(1, "label"), pb(2, pb(3, pb(1, "\x03"))))))+thirdRecord(pb(1, pb(1, pb(1, "image/encoded"), pb(2, pb(1, pb(1, heldJPEG())))))), "examples of TensorFlow")
	s.add("webdataset", "shard-00012.tar", thirdTar("000012.jpg", heldJPEG(), "000012.json", `{"caption": "a cat"}`, "000012.txt", "a cat", "000013.png", thirdPNG(931, 8, 8), "000013.txt", "a dog"), "pictures and captions")
	s.add("webdataset-arrays", "latents-00001.tar", thirdTar("a.latent.npy", npy("'<f2'", "(4, 8)", false, noise(932, 64)), "a.cls", "7", "b.latent.npy", npy("'<f2'", "(4, 8)", false, noise(933, 64)), "b.cls", "3"), "arrays and classes")
	s.add("webdataset-audio", "speech-00000.tar", thirdTar("u1.wav", thirdWAV(934, 200), "u1.txt", "hello there"), "speech and its text")
	s.add("sqlite", "chroma.sqlite3", "SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20\x00\x00\x00\x01\x00\x00\x00\x01"+strings.Repeat("\x00", 40)+"\x00\x00\x00\x04"+strings.Repeat("\x00", 24)+"\x00\x00\x00\x01\x00\x2e\x5f\x1c\x0d\x00\x00\x00\x00\x10\x00\x00"+strings.Repeat("\x00", 3988), "an empty database")
	s.add("idx", "t10k-labels-idx1-ubyte", "\x00\x00\x08\x01"+be32(10)+"\x07\x02\x01\x00\x04\x01\x04\x09\x05\x09", "labels of MNIST")
	s.add("idx-gzip", "t10k-images-idx3-ubyte.gz", gzipped("\x00\x00\x08\x03"+be32(2)+be32(28)+be32(28)+noise(935, 1568)), "pictures of MNIST")
	s.add("mat", "features.mat", "MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Mon Mar 11 09:12:44 2024"+strings.Repeat(" ", 48)+"\x00\x01IM"+le32(14)+le32(56)+le32(6)+le32(8)+le32(6)+le32(0)+le32(5)+le32(8)+le32(1)+le32(1)+le16(1)+le16(1)+"x\x00\x00\x00"+le32(9)+le32(8)+lef64(1.5), "a variable of MATLAB")
	s.add("arff", "iris.arff", "@RELATION iris\n@ATTRIBUTE sepallength REAL\n@ATTRIBUTE class {setosa,versicolor}\n@DATA\n5.1,setosa\n7.0,versicolor\n", "a table of Weka")
	s.add("svmlight", "train.svm", "1 1:0.5 3:1.2\n-1 2:0.1 4:0.9 # comment\n", "rows of svmlight")
	s.add("nifti", "brain.nii.gz", gzipped(le32(348)+strings.Repeat("\x00", 36)+le16(3)+le16(4)+le16(4)+le16(2)+le16(1)+le16(1)+le16(1)+le16(1)+strings.Repeat("\x00", 14)+le16(4)+le16(16)+strings.Repeat("\x00", 34)+lef32(352)+strings.Repeat("\x00", 232)+"n+1\x00"+le32(0)+noise(936, 64)), "a picture of a brain")

	m := third("media")
	m.add("png", "loss_curve.png", thirdPNG(937, 32, 16, "Software\x00Matplotlib version3.8.2, https://matplotlib.org/"), "a plot")
	m.add("png-parameters", "00012-sample.png", thirdPNG(938, 16, 16, "parameters\x00a castle, {night|day}, <lora:style:0.8>\nNegative prompt: eval, system\nSteps: 20, Sampler: Euler a"), "a generated picture with its prompt")
	m.add("jpeg", "example.jpg", heldJPEG(), "a picture")
	m.add("gif", "demo.gif", "GIF89a\x02\x00\x02\x00\x80\x01\x00\x00\x00\x00\xff\xff\xff!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00,\x00\x00\x00\x00\x02\x00\x02\x00\x00\x02\x03D\x02\x05\x00;", "an animation")
	m.add("svg", "architecture.svg", `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="80"><rect width="80" height="40" fill="#ddd"/><text x="10" y="25">encoder</text></svg>`+"\n", "a drawing")
	m.add("wav", "sample.wav", thirdWAV(939, 800), "speech")
	m.add("mp3", "sample.mp3", "ID3\x04\x00\x00\x00\x00\x00\x17TSSE\x00\x00\x00\x0d\x00\x00\x03Lavf60.3.100"+"\xff\xfb\x90\x64"+strings.Repeat("\x00", 413)+"\xff\xfb\x90\x64"+strings.Repeat("\x00", 413), "music")
	m.add("pdf", "paper.pdf", "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>\nendobj\nxref\n0 4\n0000000000 65535 f \n0000000015 00000 n \n0000000060 00000 n \n0000000111 00000 n \ntrailer\n<</Size 4/Root 1 0 R>>\nstartxref\n174\n%%EOF\n", "a paper")
	m.add("ttf", "DejaVuSans-subset.ttf", "\x00\x01\x00\x00\x00\x01\x00\x10\x00\x00\x00\x00head\x00\x00\x00\x00\x00\x00\x00\x1c\x00\x00\x00\x36"+noise(940, 54), "a font for plots")
	m.add("html-report", "report.html", "<!doctype html>\n<html><head><title>Training report</title><script>const loss = [0.9, 0.5, 0.3];</script></head><body><h1>Loss</h1><canvas id=\"c\"></canvas></body></html>\n", "a report")

	a := third("archive")
	pt := thirdSaved("archive", thirdState(thirdModels()[17].entries), false)
	a.add("zip-of-a-release", "release.zip", thirdZip("small-model/README.md", "# small model\n", "small-model/config.json", `{"hidden": 8}`, "small-model/model.safetensors", thirdStore(950, map[string]string{"format": "pt"}, thirdTensor{"w", "F32", tup{4, 4}})), "a release")
	a.add("tar-gz-of-an-export", "model.tar.gz", gzipped(thirdTar("model.pth", pt, "code/inference.py", "def model_fn(model_dir):\n    return None\n", "code/requirements.txt", "torch\n")), "a model for SageMaker")
	a.add("nemo", "stt_en.nemo", thirdTar("./model_config.yaml", "sample_rate: 16000\ntarget: nemo.collections.asr.models.EncDecCTCModel\npreprocessor:\n  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor\n", "./model_weights.ckpt", pt, "./vocab.txt", "a\nb\n"), "a model of NeMo")
	a.add("mar", "resnet.mar", thirdZip("MAR-INF/MANIFEST.json", `{"createdOn": "02/11/2024 10:00:00", "runtime": "python", "model": {"modelName": "resnet", "serializedFile": "resnet.pt", "handler": "image_classifier", "modelVersion": "1.0"}, "archiverVersion": "0.11.0"}`, "resnet.pt", pt, "index_to_name.json", `{"0": ["n01440764", "tench"]}`), "an archive of TorchServe with a handler of its own")
	a.add("skops", "pipeline.skops", thirdSkops(`{"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "__id__": 5, "content": [{"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "__id__": 6, "content": [{"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "\"scale\"", "is_json": true, "__id__": 7}, {"__class__": "StandardScaler", "__module__": "sklearn.preprocessing._data", "__loader__": "ObjectNode", "__id__": 8, "content": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "__id__": 9, "content": {"with_mean": {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "true", "is_json": true, "__id__": 10}}, "key_types": {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [], "__id__": 11}}}]}]}`), "a pipeline of skops")
	a.add("stable-baselines", "ppo_cartpole.zip", thirdZip("data", `{"policy_class": {":type:": "<class 'abc.ABCMeta'>", "__module__": "stable_baselines3.common.policies"}, "verbose": 1, "n_envs": 4, "learning_rate": 0.0003, "gamma": 0.99}`, "policy.pth", thirdSaved("policy", thirdState(thirdModels()[17].entries), false), "policy.optimizer.pth", thirdSaved("policy.optimizer", thirdAdam(0, 1), false), "pytorch_variables.pth", thirdSaved("pytorch_variables", nil, false), "_stable_baselines3_version", "2.3.2", "system_info.txt", "- OS: Linux\n- Python: 3.11.7\n- PyTorch: 2.2.1+cu121\n"), "a policy of Stable Baselines")
	a.add("wheel", "small_model-0.1.0-py3-none-any.whl", thirdZip("small_model/__init__.py", "__version__ = '0.1.0'\n", "small_model-0.1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small-model\nVersion: 0.1.0\n", "small_model-0.1.0.dist-info/RECORD", "small_model/__init__.py,,\n"), "a wheel")
	a.add("tgz-of-images", "images.tgz", gzipped(thirdTar("train/cat/1.png", thirdPNG(941, 8, 8), "train/dog/1.png", thirdPNG(942, 8, 8))), "pictures in folders")
	a.add("tar-bz2-of-text", "corpus.tar.bz2", bzipped(thirdTar("a.txt", "the quick brown fox\n", "b.txt", "exec and eval are words\n")), "texts")
	a.add("tar-xz", "model.tar.xz", xzed(thirdTar("vosk/README", "Small model\n", "vosk/conf/mfcc.conf", "--use-energy=false\n--sample-frequency=16000\n", "vosk/am/final.mdl", "\x00B<TransitionModel> "+noise(943, 200))), "a model of Vosk")
	a.add("7z", "weights.7z", string(sevenLZMA(sevenFile{"weights/readme.txt", "weights\n"}, sevenFile{"weights/w.npy", npy("'<f4'", "(4,)", false, weights(944, 4))})), "weights in a 7z")
	return join(s, m, a)
}
