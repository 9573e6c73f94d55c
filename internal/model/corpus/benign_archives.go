package corpus

import (
	"bytes"
	"strings"

	"github.com/parquet-go/parquet-go"
)

func benignArchives() []Case {
	s := &set{technique: "archive"}
	files := []member{{name: "config.json", data: `{"model_type": "bert"}`}, {name: "weights.safetensors", data: safetensors(`{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, weights(1, 4))}, {name: "README.md", data: "# A model\n"}}
	with := func(edit func(i int, m *member)) []member {
		out := make([]member, len(files))
		for i, m := range files {
			edit(i, &m)
			out[i] = m
		}
		return out
	}
	zip := func(variation string, a archive, truth string) {
		s.add(variation, "model.zip", string(a.bytes()), truth)
	}
	zip("python-stored", archive{members: with(func(int, *member) {})}, "zipfile with ZIP_STORED")
	zip("python-deflated", archive{members: with(func(_ int, m *member) { m.deflate = true })}, "zipfile with ZIP_DEFLATED")
	zip("info-zip", archive{members: append([]member{{name: "model/", unixTime: true, edit: func(_, c *zipHeader) { c.external = 0o40755<<16 | 16 }}}, with(func(_ int, m *member) { m.deflate, m.unixTime, m.name = true, true, "model/"+m.name })...)}, "zip -r, with a directory and times")
	zip("data-descriptors", archive{members: with(func(_ int, m *member) { m.deflate, m.descriptor = true, 16 })}, "written to a pipe, with data descriptors")
	zip("zip64-descriptors", archive{zip64: true, members: with(func(i int, m *member) {
		m.deflate = true
		if i == 1 {
			m.zip64 = true
		}
	})}, "zip64 records where none were needed")
	zip("windows", archive{members: with(func(_ int, m *member) {
		m.deflate = true
		m.edit = func(l, c *zipHeader) { c.madeBy, c.external = 20, 32 }
	})}, "Explorer's send to compressed folder")
	zip("comments", archive{comment: "made by apex", members: with(func(i int, m *member) { m.edit = func(_, c *zipHeader) { c.comment = "file " + itoa(i) } })}, "comments on the archive and its members")
	zip("utf-8-names", archive{members: with(func(_ int, m *member) {
		m.name = "модель/" + m.name
		m.edit = func(l, c *zipHeader) { l.flags |= 0x800; c.flags |= 0x800 }
	})}, "names in UTF-8")
	zip("empty", archive{}, "an archive of nothing")
	zip("macos", archive{members: append(with(func(_ int, m *member) { m.deflate, m.descriptor = true, 16 }), member{name: "__MACOSX/._config.json", data: "\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + strings.Repeat("\x00", 40), deflate: true})}, "Finder's compress, with resource forks")
	zip("nested", archive{members: []member{{name: "inner.zip", data: zipOf("data.txt", "hello\n")}}}, "a zip in a zip")
	zip("spark", archive{members: []member{{name: "stages/0/metadata/part-00000", data: `{"class":"org.apache.spark.ml.feature.Tokenizer"}`}, {name: "metadata/_SUCCESS", data: ""}}}, "an MLeap bundle")
	s.add("tar", "model.tar", tarOf(tarFile{"./config.json", "{}"}, tarFile{"./tokenizer/vocab.txt", "a\nb\n"}), "a tar")
	s.add("tar-gz", "model.tar.gz", gzipped(tarOf(tarFile{"model/1/model.savedmodel/saved_model.pb", savedModel(tfGraph([]string{tfNode("x", "Placeholder")}))}, tarFile{"model/config.pbtxt", "name: \"m\"\nplatform: \"tensorflow_savedmodel\"\n"})), "a Triton repository")
	s.add("nemo", "model.nemo", tarOf(tarFile{"./model_config.yaml", "target: nemo.collections.asr.models.EncDecCTCModelBPE\nencoder:\n  _target_: nemo.collections.asr.modules.ConformerEncoder\n"}, tarFile{"./model_weights.ckpt", string(torchZip("archive", plainStateDict(), []string{weights(2, 8)}))}, tarFile{"./abc_tokenizer.model", pb(1, pb(1, "a"))}), "a NeMo archive")
	s.add("nemo-gz", "model.nemo", gzipped(tarOf(tarFile{"model_config.yaml", "sample_rate: 16000\n"}, tarFile{"model_weights.ckpt", string(torchZip("m", plainStateDict(), []string{weights(3, 8)}))})), "a compressed NeMo archive")
	s.add("7z", "data.7z", string(sevenStored(sevenFile{"data.csv", "a,b\n1,2\n"}, sevenFile{"notes.txt", "plain\n"})), "a 7z of plain files")
	s.add("7z-lzma", "data.7z", string(sevenLZMA(sevenFile{"data.csv", strings.Repeat("a,b\n", 500)})), "the same, compressed")
	skops := `{"__class__": "LogisticRegression", "__module__": "sklearn.linear_model._logistic", "__loader__": "ObjectNode", "content": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {"C": {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "1.0", "is_json": true, "__id__": 3}, "coef_": {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy", "file": "1.npy", "__id__": 4}}, "key_types": {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [], "__id__": 5}, "__id__": 2}, "__id__": 1, "protocol": 2, "_skops_version": "0.10.0"}`
	s.add("skops", "model.skops", string(archive{members: []member{{name: "1.npy", data: npy("'<f8'", "(1, 4)", false, doubles(1, 4))}, {name: "schema.json", data: skops}}}.bytes()), "a skops model")
	s.add("skops-scaler", "scaler.skops", string(archive{members: []member{{name: "schema.json", deflate: true, data: strings.NewReplacer("LogisticRegression", "StandardScaler", "linear_model._logistic", "preprocessing._data", "coef_", "mean_").Replace(skops)}, {name: "1.npy", deflate: true, data: npy("'<f8'", "(4,)", false, doubles(2, 4))}}}.bytes()), "a skops scaler, deflated")
	for name, pack := range ordered("gz", gzipped, "bz2", bzipped, "xz", xzed, "zst", zstded, "lz4", lz4ed, "lzma", lzmaAlone) {
		s.add("csv-"+name, "data.csv."+name, pack("id,text,label\n"+strings.Repeat("1,\"hello, os.system\",0\n", 300)), "a compressed table")
		s.add("text-"+name, "corpus.txt."+name, pack(strings.Repeat("The model was trained on text. ", 100)), "compressed text")
	}
	image := "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + noise(8, 700) + "\xff\xd9"
	var shard []tarFile
	for i := range 20 {
		key := "00000" + itoa(10+i)
		shard = append(shard, tarFile{key + ".jpg", image}, tarFile{key + ".json", `{"caption": "a cat", "url": "https://example.org/` + itoa(i) + `.jpg"}`}, tarFile{key + ".txt", "a cat, os.system"}, tarFile{key + ".cls", itoa(i)})
	}
	s.add("webdataset", "shard-000000.tar", tarOf(shard...), "a webdataset shard")
	s.add("webdataset-npy", "shard-000001.tar", tarOf(tarFile{"a.npy", npy("'<f4'", "(8,)", false, weights(4, 8))}, tarFile{"a.cls", "1"}), "a shard of arrays")
	s.add("mar", "model.mar", string(archive{members: []member{{name: "MAR-INF/MANIFEST.json", data: `{"runtime": "python", "model": {"modelName": "m", "serializedFile": "model.pt", "handler": "image_classifier", "modelVersion": "1.0"}, "archiverVersion": "0.9.0"}`}, {name: "model.pt", data: string(torchZip("model", plainStateDict(), []string{weights(5, 8)}))}, {name: "index_to_name.json", data: `{"0": "cat"}`}}}.bytes()), "a TorchServe archive with a handler that TorchServe has")
	return s.cases
}

func benignData() []Case {
	s := &set{technique: "data"}
	type row struct {
		ID    int64   `parquet:"id"`
		Text  string  `parquet:"text"`
		Score float64 `parquet:"score"`
	}
	var rows []row
	for i := range 50 {
		rows = append(rows, row{int64(i), "sample " + itoa(i), float64(i) / 7})
	}
	for name, options := range ordered("plain", []parquet.WriterOption{}, "snappy", []parquet.WriterOption{parquet.Compression(&parquet.Snappy)}, "zstd", []parquet.WriterOption{parquet.Compression(&parquet.Zstd)}) {
		var b bytes.Buffer
		if err := parquet.Write(&b, rows, options...); err != nil {
			panic("corpus: parquet: " + err.Error())
		}
		s.add("parquet-"+name, "train-00000-of-00001.parquet", b.String(), "a table in Parquet")
	}
	s.add("csv", "train.csv", "text,label\n\"I like it\",1\n\"no, really\",0\n", "a table")
	s.add("csv-code", "code.csv", "prompt,completion\n\"import os\",\"os.system('ls')\"\n\"eval this\",\"__import__('os')\"\n", "a table of code")
	s.add("tsv", "dev.tsv", "sentence\tlabel\nhide new secretions\t0\n", "a table with tabs")
	s.add("jsonl", "train.jsonl", `{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}`+"\n"+`{"messages": [{"role": "system", "content": "{{ not a template }}"}]}`+"\n", "conversations")
	s.add("jsonl-code", "code.jsonl", `{"code": "import pickle\npickle.loads(x)", "lang": "python"}`+"\n", "code as data")
	s.add("json-squad", "squad.json", `{"version": "1.1", "data": [{"title": "x", "paragraphs": [{"context": "c", "qas": [{"id": "1", "question": "q", "answers": [{"answer_start": 0, "text": "c"}]}]}]}]}`, "questions and answers")
	s.add("arrow", "data.arrow", "ARROW1\x00\x00"+noise(1, 600)+"ARROW1", "an Arrow file")
	s.add("tfrecord", "data.tfrecord", func() string {
		var b strings.Builder
		for i := range 5 {
			e := pb(1, pb(1, pb(1, "label"), pb(2, pb(3, pbInts(1, i)))))
			b.WriteString(le64(len(e)) + noise(uint64(i), 4) + e + noise(uint64(i+9), 4))
		}
		return b.String()
	}(), "a TFRecord")
	s.add("png", "logo.png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x00IEND\xaeB`\x82", "an image")
	s.add("wav", "sample.wav", "RIFF"+le32(36+200)+"WAVEfmt "+le32(16)+le16(1)+le16(1)+le32(16000)+le32(32000)+le16(2)+le16(16)+"data"+le32(200)+noise(2, 200), "a sound")
	s.add("sqlite", "mlflow.db", "SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20"+noise(3, 4072), "a database")
	s.add("word2vec-text", "vectors.txt", "3 4\nthe 0.1 0.2 0.3 0.4\nos 0.1 0.2 0.3 0.4\neval 0 0 0 1\n", "word vectors in text")
	s.add("word2vec-binary", "vectors.bin", "2 4\nthe "+weights(1, 4)+"\nos "+weights(2, 4)+"\n", "word vectors in binary")
	s.add("ggml-old", "model.bin", "lmgg"+le32(32000)+le32(4096)+noise(4, 300), "a ggml file from before GGUF")
	s.add("raw-floats", "weights.bin", weights(6, 4000), "raw weights")
	for i := range 4 {
		s.add("random-"+itoa(i), "blob.bin", noise(uint64(100+i), 500+700*i), "random bytes")
	}
	s.add("zeros", "empty.bin", strings.Repeat("\x00", 1000), "zeros")
	s.add("rds-numbers", "x.rds", gzipped(rds(rdsNumbers(1, 2.5, -3))), "an R vector")
	s.add("rds-plain", "x.rds", rds(rdsInts(1, 2, 3)), "an R vector, not compressed")
	s.add("rds-list", "model.rds", gzipped(rds(rdsNamed("", []string{"coefficients", "call"}, rdsNumbers(0.5, 1.5), rdsText("lm(y ~ x)")))), "an R list")
	s.add("rds-frame", "frame.rds", gzipped(rds(rdsNamed("data.frame", []string{"x", "name"}, rdsNumbers(1, 2), rdsText("system", "eval")))), "an R data frame")
	s.add("rds-xz", "x.rds", xzed(rds(rdsList(rdsText("a"), rdsInts(1)))), "an R list in xz")
	s.add("rds-bzip2", "x.rds", bzipped(rds(rdsText("promise", "system"))), "R text in bzip2")
	s.add("rdata", "x.RData", gzipped("RDX2\n"+rds(be32(0x402)+rdsSymbol("weights")+rdsNumbers(1, 2, 3)+be32(254))), "an R workspace")
	return s.cases
}
