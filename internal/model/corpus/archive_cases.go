package corpus

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

type tarFile struct{ name, data string }

func tarOf(files ...tarFile) string {
	var headers []tar.Header
	var data []string
	for _, f := range files {
		headers = append(headers, tar.Header{Typeflag: tar.TypeReg, Name: f.name})
		data = append(data, f.data)
	}
	return tarRaw(headers, data)
}

func tarRaw(headers []tar.Header, data []string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, h := range headers {
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		h.ModTime, h.Size = time.Unix(1718458416, 0), int64(len(data[i]))
		if err := w.WriteHeader(&h); err != nil {
			panic("corpus: tar: " + err.Error())
		}
		io.WriteString(w, data[i])
	}
	w.Close()
	return b.String()
}

func zipOf(name, data string) string {
	return string(archive{members: []member{{name: name, data: data, deflate: true, unixTime: true}}}.bytes())
}

func nestedArchives() []Case {
	s := &set{technique: "archive-nested"}
	s.add("tar-in-gzip", "model.tar.gz", gzipped(tarOf(tarFile{"config.json", "{}"}, tarFile{"model/weights.bin", evil(0)})), "a pickle in a compressed tar")
	s.add("zip-in-zip-in-zip", "model.zip", zipOf("a.zip", zipOf("b.zip", zipOf("model.pkl", evil(1)))), "a pickle three zips deep")
	s.add("torch-in-tar", "model.tar", tarOf(tarFile{"README.md", "# model\n"}, tarFile{"ckpt/model.pt", string(torchZip("model", evilStateDict(2), nil))}), "a torch archive in a tar")
	s.add("gzip-in-zip-in-tar-xz", "model.tar.xz", xzed(tarOf(tarFile{"x.zip", zipOf("y.gz", gzipped(evil(3)))})), "gzip in zip in tar in xz")
	s.add("nemo", "model.nemo", gzipped(tarOf(tarFile{"./model_config.yaml", "target: nemo.collections.asr.models.EncDecCTCModel\n"}, tarFile{"./model_weights.ckpt", string(torchZip("archive", evilStateDict(4), nil))})), "a NeMo archive with an evil checkpoint")
	s.add("npz", "arrays.npz", zipOf("arr_0.npy", npyObject(evil(5))), "an object array in an npz")
	s.add("ten-gzips", "model.pkl.gz", func() string {
		b := evil(0)
		for range 10 {
			b = gzipped(b)
		}
		return b
	}(), "ten times gzip")
	s.add("tar-in-tar", "model.tar", tarOf(tarFile{"inner.tar", tarOf(tarFile{"deep/inner.tar", tarOf(tarFile{"m.joblib", zlibbed(evil(2), 3)})})}), "a joblib file three tars deep")
	return s.cases
}

func pathTraversals() []Case {
	s := &set{technique: "archive-path-traversal", reference: "CWE-22"}
	s.add("tar-parent", "model.tar", tarOf(tarFile{"model/config.json", "{}"}, tarFile{"../../etc/apex", "x"}), "a tar member above the directory")
	s.add("tar-absolute", "model.tar.gz", gzipped(tarOf(tarFile{"/etc/cron.d/apex", "# apex\n"}, tarFile{"model.bin", noise(1, 64)})), "an absolute tar member")
	s.add("tar-symlink", "model.tar", tarRaw([]tar.Header{{Typeflag: tar.TypeSymlink, Name: "out", Linkname: "../../.."}, {Typeflag: tar.TypeReg, Name: "out/apex"}}, []string{"", "x"}), "a symlink out of the directory, and a file through it")
	s.add("tar-hardlink", "model.nemo", tarRaw([]tar.Header{{Typeflag: tar.TypeLink, Name: "weights.ckpt", Linkname: "/etc/passwd"}}, []string{""}), "a hard link to a file of the host")
	s.add("tar-absolute-symlink", "model.tar", tarRaw([]tar.Header{{Typeflag: tar.TypeSymlink, Name: "weights.bin", Linkname: "/etc/shadow"}}, []string{""}), "the weights are a symlink to a file of the host")
	s.add("tar-device", "model.tar", tarRaw([]tar.Header{{Typeflag: tar.TypeChar, Name: "weights", Devmajor: 1, Devminor: 5}}, []string{""}), "a device node")
	for i, name := range []string{"../../.bashrc", "/etc/cron.d/apex", "..\\..\\apex.dll", "C:\\Windows\\apex.dll", "model/../../../x.pth"} {
		s.add("zip-"+itoa(i), "model.zip", string(archive{members: []member{{name: "model/config.json", data: "{}"}, {name: name, data: "apex", deflate: i%2 == 0}}}.bytes()), "a zip member that is called "+name)
	}
	s.add("zip-symlink", "model.zip", string(archive{members: []member{{name: "weights.bin", data: "../../../etc/passwd", edit: func(_, c *zipHeader) { c.external = 0o120777 << 16 }}}}.bytes()), "a zip member that is a symlink")
	s.add("keras-symlink-tar", "model.tar.gz", gzipped(tarRaw([]tar.Header{{Typeflag: tar.TypeSymlink, Name: "a/b", Linkname: "../.."}, {Typeflag: tar.TypeSymlink, Name: "a/b/c", Linkname: "../../etc"}}, []string{"", ""})), "two symlinks that leave together")
	return s.cases
}

// deflatedZeros is n mebibytes of zeros. A block that was flushed can follow
// itself, because what it points back to is zeros too.
func deflatedZeros(n int) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	w.Write(make([]byte, 1<<20))
	w.Flush()
	first := b.Len()
	w.Write(make([]byte, 1<<20))
	w.Flush()
	again := b.String()[first:]
	return b.String()[:first] + strings.Repeat(again, n-1) + "\x03\x00"
}

func bombs() []Case {
	s := &set{technique: "decompression-bomb", reference: "CWE-409"}
	const mebibytes = 2048
	mib := strings.Repeat("\x00", 1<<20)
	zeros := deflatedZeros(mebibytes)
	s.add("gzip-members", "model.pkl.gz", strings.Repeat(gzipped(mib), mebibytes), "two gibibytes of zeros in gzip members")
	s.add("zip", "model.zip", string(archive{members: []member{{name: "weights.bin", packed: zeros, edit: func(l, c *zipHeader) {
		l.method, c.method, l.size, c.size = 8, 8, mebibytes<<20, mebibytes<<20
	}}}}.bytes()), "two gibibytes of zeros in a zip")
	s.add("zip-that-lies", "model.zip", string(archive{members: []member{{name: "data.pkl", packed: zeros, edit: func(l, c *zipHeader) {
		l.method, c.method, l.size, c.size = 8, 8, 100, 100
	}}}}.bytes()), "the same, said to be a hundred bytes")
	s.add("xz-streams", "model.tar.xz", strings.Repeat(squeeze("", func(w io.Writer) (io.WriteCloser, error) {
		z, err := xz.NewWriter(w)
		return pourZeros(z, 8<<20, err)
	}), mebibytes/8), "two gibibytes of zeros in xz")
	s.add("zstd-frames", "model.bin.zst", strings.Repeat(squeeze("", func(w io.Writer) (io.WriteCloser, error) {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		return pourZeros(z, 8<<20, err)
	}), mebibytes), "sixteen gibibytes of zeros in zstd")
	s.add("bzip2-streams", "model.bin.bz2", strings.Repeat(bzipped(strings.Repeat("\x00", 60_000)), 20_000), "1.2 GB of zeros in bzip2")
	s.add("nested-gzip", "model.gz", gzipped(strings.Repeat(gzipped(mib), 4096)), "four gibibytes behind two layers")
	s.add("overlapping-zip", "model.zip", func() string { // every entry points to the same data (Fifield)
		first := member{name: "0", packed: deflatedZeros(64), edit: func(l, c *zipHeader) { l.method, c.method, l.size, c.size = 8, 8, 64<<20, 64<<20 }}
		members := []member{first}
		for i := range 100 {
			members = append(members, member{name: itoa(i + 1), edit: func(l, c *zipHeader) {
				*c = zipHeader{signature: c.signature, version: 20, method: 8, name: c.name, packed: len(first.packed), size: 64 << 20}
			}})
		}
		return string(archive{members: members}.bytes())
	}(), "a hundred entries over one stream")
	return s.cases
}

func compressedPickles() []Case {
	s := &set{technique: "compressed-pickle"}
	s.add("gzip", "model.pkl.gz", gzipped(evil(0)), "a pickle in gzip")
	s.add("bzip2", "model.pkl.bz2", bzipped(evil(1)), "a pickle in bzip2")
	s.add("xz", "model.pkl.xz", xzed(evil(2)), "a pickle in xz")
	s.add("lzma", "model.pkl.lzma", lzmaAlone(evil(3)), "a pickle in lzma")
	s.add("zstd", "model.pkl.zst", zstded(evil(4)), "a pickle in zstd")
	s.add("lz4", "model.pkl.lz4", lz4ed(evil(5)), "a pickle in lz4")
	s.add("zlib-no-compression", "model.bin", zlibbed(evil(0), 0), "a pickle in zlib's stored blocks")
	s.add("gzip-second-member", "model.pkl.gz", gzipped("plain text\n")+gzipped(evil(1)), "the pickle is the second gzip member")
	s.add("gzip-trailing", "model.gz", gzipped(pickle(2, 1))+evil(2), "the pickle follows a gzip of a plain one")
	s.add("gzip-with-name", "weights.txt", "\x1f\x8b\x08\x1c\x00\x00\x00\x00\x00\xff\x04\x00ap\x00\x00readme.txt\x00comment\x00"+gzipped(evil(3))[10:], "gzip with extra field, name and comment")
	s.add("zstd-after-skippable", "model.zst", "\x50\x2a\x4d\x18"+le32(5)+"hello"+zstded(evil(4)), "a skippable zstd frame first")
	s.add("zstd-legacy-torch", "model.pt.zst", zstded(string(torchZip("m", evilStateDict(5), nil))), "a torch archive in zstd")
	return s.cases
}

func webDatasets() []Case {
	s := &set{technique: "webdataset-pickle"}
	image := "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + noise(8, 400) + "\xff\xd9"
	s.add("pyd", "shard-000000.tar", tarOf(tarFile{"000000.jpg", image}, tarFile{"000000.cls", "3"}, tarFile{"000001.jpg", image}, tarFile{"000001.pyd", evil(0)}), "webdataset unpickles .pyd")
	s.add("pickle", "shard-000001.tar", tarOf(tarFile{"a.txt", "a cat"}, tarFile{"a.pickle", evil(1)}), "and .pickle")
	s.add("pth", "shard-000002.tar.gz", gzipped(tarOf(tarFile{"s1.json", "{}"}, tarFile{"s1.pth", string(torchZip("archive", evilStateDict(2), nil))})), "and loads .pth with torch")
	s.add("pkl-gz", "shard.tar", tarOf(tarFile{"x.txt", "x"}, tarFile{"x.pkl.gz", gzipped(evil(3))}), "decodes .gz first")
	s.add("npy", "shard.tar", tarOf(tarFile{"x.txt", "x"}, tarFile{"x.npy", npyObject(evil(4))}), "and object arrays")
	s.add("thousand-samples", "shard.tar", func() string {
		var files []tarFile
		for i := range 1000 {
			files = append(files, tarFile{itoa(i) + ".txt", "sample " + itoa(i)})
		}
		return tarOf(append(files, tarFile{"1000.pyd", evil(5)})...)
	}(), "the last of a thousand samples")
	return s.cases
}

func marFiles() []Case {
	s := &set{technique: "torchserve-mar"}
	manifest := func(handler string) member {
		return member{name: "MAR-INF/MANIFEST.json", data: `{"createdOn": "15/06/2024 13:33:36", "runtime": "python", "model": {"modelName": "m", "serializedFile": "model.pt", "handler": "` + handler + `", "modelVersion": "1.0"}, "archiverVersion": "0.9.0"}`, deflate: true}
	}
	handler := "import os\nfrom ts.torch_handler.base_handler import BaseHandler\n\nclass Handler(BaseHandler):\n    def initialize(self, context):\n        os.system('true')\n        super().initialize(context)\n"
	s.add("handler", "model.mar", string(archive{members: []member{{name: "handler.py", data: handler, deflate: true}, manifest("handler.py"), {name: "model.pt", data: string(torchZip("model", plainStateDict(), nil))}}}.bytes()), "TorchServe imports and runs the archive's handler.py")
	s.add("evil-weights", "model.mar", string(archive{members: []member{manifest("image_classifier"), {name: "model.pt", data: string(torchZip("model", evilStateDict(1), nil))}}}.bytes()), "the archive's weights are an evil pickle")
	s.add("handler-with-entry-point", "model.mar", string(archive{members: []member{{name: "service/run.py", data: "import subprocess\ndef handle(data, context):\n    return subprocess.run(['true'])\n"}, manifest("service/run.py:handle")}}.bytes()), "a handler that names its function")
	s.add("requirements", "model.mar", string(archive{members: []member{{name: "requirements.txt", data: "apex-absent @ file:///nonexistent/apex\n"}, {name: "setup_model.py", data: "__import__('os').system('true')\n"}, manifest("setup_model.py")}}.bytes()), "requirements that TorchServe installs, and code")
	return s.cases
}
