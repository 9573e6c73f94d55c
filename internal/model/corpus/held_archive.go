package corpus

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"hash/crc32"
	"io"
	"strings"
)

// heldTar writes members whose headers the caller made; sizes are set here.
func heldTar(format tar.Format, members ...any) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		h := tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Format: format}
		switch m := members[i].(type) {
		case string:
			h.Name = m
		case tar.Header:
			h = m
		}
		data := members[i+1].(string)
		h.Size = int64(len(data))
		err := w.WriteHeader(&h)
		if err == nil {
			_, err = w.Write([]byte(data))
		}
		if err != nil {
			panic("corpus: tar: " + err.Error())
		}
	}
	w.Close()
	return b.String()
}

func heldZipOf(names ...string) string {
	var m []member
	for i := 0; i < len(names); i += 2 {
		m = append(m, member{name: names[i], data: names[i+1], deflate: true})
	}
	return string(archive{members: m}.bytes())
}

func heldNested() []Case {
	s := heldCase("archive-nested")
	s.add("zip-in-tar-gz-in-zip", "bundle.zip", heldZipOf("release/a.tar.gz", gzipped(heldTar(tar.FormatUSTAR, "m/model.pt", string(heldEvilZip(0, nil))))), "zip, gzip, tar, torch zip")
	s.add("zstd-of-tar", "model.tar.zst", zstded(heldTar(tar.FormatGNU, "readme.txt", "hi", "model.pkl", evil(1))), "a pickle in a tar in zstd")
	s.add("pickle-in-npz-in-7z", "data.7z", string(sevenStored(sevenFile{"d.npz", heldZipOf("x.npy", npyObject(evil(2)))})), "an object array in an npz in a 7z")
	s.add("xz-in-bzip2-in-gzip", "model.bin", gzipped(bzipped(xzed(evil(3)))), "three compressors over one pickle")
	s.add("tar-of-lz4", "ckpt.tar", heldTar(tar.FormatPAX, "ckpt/optim.pt.lz4", lz4ed(evil(4))), "a pickle in lz4 in a tar")
	s.add("wheel-with-a-model", "apex_model-1.0-py3-none-any.whl", heldZipOf("apex_model/__init__.py", "from .load import load\n", "apex_model/weights.pkl", evil(0), "apex_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: apex-model\n"), "a wheel whose data file is a pickle that calls")
	s.add("eight-zips-deep", "model.zip", heldDeepZip(8, evil(1)), "zip in zip, eight times")
	return s.cases
}

func heldDeepZip(n int, data string) string {
	name := "model.pkl"
	for range n {
		data, name = heldZipOf(name, data), "inner.zip"
	}
	return data
}

func heldTraversal() []Case {
	s := heldCase("archive-path-traversal")
	link := tar.Header{Typeflag: tar.TypeSymlink, Name: "model/out", Linkname: "/nonexistent/apex", Mode: 0o777}
	s.add("file-through-a-symlink", "model.tar", heldTar(tar.FormatUSTAR, link, "", "model/out/authorized_keys", "ssh-ed25519 AAAA"), "a symlink that leaves, then a file below it")
	hard := tar.Header{Typeflag: tar.TypeLink, Name: "model/config.json", Linkname: "../../../nonexistent/shadow", Mode: 0o644}
	s.add("hardlink", "model.tar.gz", gzipped(heldTar(tar.FormatUSTAR, hard, "")), "a hard link to a file outside")
	pax := tar.Header{Typeflag: tar.TypeReg, Name: "../../nonexistent/" + strings.Repeat("d/", 60) + "apex.py", Mode: 0o644, Format: tar.FormatPAX}
	s.add("pax-path", "model.nemo", heldTar(tar.FormatPAX, pax, "pass\n"), "a name that leaves, too long for the header, in a pax record")
	s.add("zip-symlink", "model.zip", string(archive{members: []member{{name: "weights", data: "../../nonexistent/apex", edit: func(l, c *zipHeader) { c.external = 0o120777 << 16 }}, {name: "weights/x.so", data: "\x7fELF"}}}.bytes()), "a zip's symlink, then a file below it")
	s.add("windows-drive", "model.mar", heldZipOf("MAR-INF/MANIFEST.json", "{}", `C:\nonexistent\apex.py`, "pass\n"), "a name with a drive")
	s.add("mixed-slashes", "model.keras", heldZipOf("config.json", "{}", `assets/..\../..\../nonexistent/apex.py`, "pass\n"), "two kinds of slashes on the way out")
	s.add("device-node", "model.tar", heldTar(tar.FormatUSTAR, tar.Header{Typeflag: tar.TypeChar, Name: "model/mem", Devmajor: 1, Devminor: 1, Mode: 0o666}, ""), "a device")
	s.add("seven-zip", "model.7z", string(sevenStored(sevenFile{"../../nonexistent/apex.pth", "import this\n"})), "a 7z's name that leaves")
	return s.cases
}

func heldBombs() []Case {
	s := heldCase("decompression-bomb")
	zeros := squeeze("", func(w io.Writer) (io.WriteCloser, error) { return pourZeros(gzip.NewWriter(w), 256<<20, nil) })
	packed := deflated(strings.Repeat("\x00", 4<<20))
	s.add("gzip-of-gzip", "model.pkl.gz", gzipped(zeros), "gzip of a gzip of 256 MiB")
	s.add("three-hundred-entries-one-member", "model.zip", string(heldOverlap(packed, 300)), "300 entries name the same four megabytes")
	s.add("bomb-in-npz", "data.npz", heldZipOf("a.npy", "\x93NUMPY", "b.npy.gz", zeros), "a member of an npz is a gzip of 256 MiB")
	s.add("two-hundred-gzip-members", "model.gz", strings.Repeat(gzipped(strings.Repeat("\x00", 8<<20)), 200), "200 members of one gzip, 8 MiB each")
	return s.cases
}

// heldOverlap is a zip with n entries of which all share one local header.
func heldOverlap(packed string, n int) []byte {
	h := zipHeader{signature: "PK\x03\x04", madeBy: 0x031e, version: 20, method: 8, time: dosTime, date: dosDate, crc: crc32.ChecksumIEEE(make([]byte, 4<<20)), packed: len(packed), size: 4 << 20, name: "layer000.bin"}
	out := h.local() + packed
	at, directory := len(out), ""
	h.signature = "PK\x01\x02"
	for i := range n {
		h.name = "layer" + hex(i, 3) + ".bin"
		directory += h.central()
	}
	return []byte(out + directory + "PK\x05\x06" + le16(0) + le16(0) + le16(n) + le16(n) + le32(len(directory)) + le32(at) + le16(0))
}

func heldCompressed() []Case {
	s := heldCase("compressed-pickle")
	honest := pickle(4, dictOf("a", 1))
	s.add("second-gzip-member", "model.pkl.gz", gzipped(honest)+gzipped(evil(0)), "gzip reads members as one; the second holds a second pickle")
	s.add("split-over-two-members", "model.pkl.gz", gzipped(evil(1)[:7])+gzipped(evil(1)[7:]), "one pickle over two members of a gzip")
	s.add("gzip-with-all-fields", "model.pkl.gz", heldGzipFields(gzipped(evil(2))), "a gzip header with extra, name, comment")
	s.add("lz4-behind-a-skippable-frame", "model.pkl.lz4", "\x50\x2a\x4d\x18"+le32(5)+"notes"+lz4ed(evil(3)), "a skippable frame first")
	s.add("zstd-two-frames", "model.pkl.zst", zstded(honest)+"\x5a\x2a\x4d\x18"+le32(3)+"abc"+zstded(evil(4)), "two zstd frames with a skippable one between")
	s.add("xz-padded-streams", "model.pkl.xz", xzed(honest)+"\x00\x00\x00\x00"+xzed(evil(0)), "two xz streams with padding between")
	s.add("bz2-streams", "model.pkl.bz2", bzipped(honest)+bzipped(evil(1)), "two bzip2 streams")
	s.add("zlib-best", "model.pkl", zlibbed(evil(5), 9), "zlib, as joblib writes it without a name")
	s.add("zlib-none", "model.pkl", zlibbed(evil(0), 0), "zlib of level 0: the pickle is stored")
	s.add("raw-lzma", "model.lzma", lzmaAlone(evil(2)), "the old LZMA file")
	return s.cases
}

func heldGzipFields(z string) string {
	extra := "AB" + le16(4) + "apex"
	return "\x1f\x8b\x08\x1c" + z[4:10] + le16(len(extra)) + extra + "model.pkl\x00" + "a comment\x00" + z[10:]
}

func heldArchives() []Case {
	w := heldCase("webdataset-pickle")
	w.add("pyd-among-images", "train-000000.tar", heldTar(tar.FormatUSTAR, "000000.jpg", heldJPEG(), "000000.cls", "3", "000000.pyd", evil(0), "000001.jpg", heldJPEG(), "000001.cls", "4"), "one sample has a .pyd, which the decoder unpickles")
	w.add("dotted-extension", "train-000001.tar", heldTar(tar.FormatGNU, "a/b/000000.meta.pickle", evil(1), "a/b/000000.png", "\x89PNG\r\n\x1a\n"), ".meta.pickle")
	w.add("pth-in-gz", "train-000002.tar.gz", gzipped(heldTar(tar.FormatPAX, "s0.pth", string(heldEvilZip(0, nil)), "s0.txt", "caption")), ".pth, which the decoder gives to torch.load")
	w.add("npy-of-objects", "train-000003.tar", heldTar(tar.FormatUSTAR, "k.npy", npyObject(evil(2)), "k.json", "{}"), ".npy of objects")

	m := heldCase("torchserve-mar")
	manifest := `{"createdOn": "15/06/2024 13:33:36", "runtime": "python", "model": {"modelName": "apex", "serializedFile": "model.pt", "handler": "handler.py", "modelVersion": "1.0", "requirementsFile": "requirements.txt"}, "archiverVersion": "0.9.0"}`
	handler := "import os\nfrom ts.torch_handler.base_handler import BaseHandler\n\nclass H(BaseHandler):\n    def initialize(self, ctx):\n        os.system('true')\n"
	m.add("handler-runs-a-command", "apex.mar", heldZipOf("MAR-INF/MANIFEST.json", manifest, "handler.py", handler, "model.pt", string(torchZip("archive", plainStateDict(), []string{weights(1, 8)}))), "the handler calls os.system when it is initialised")
	m.add("model-calls", "apex.mar", heldZipOf("MAR-INF/MANIFEST.json", strings.Replace(manifest, "handler.py", "image_classifier", 1), "model.pt", string(heldEvilZip(1, nil))), "a built-in handler, and a model that calls")
	m.add("tgz", "apex.tar.gz", gzipped(heldTar(tar.FormatUSTAR, "MAR-INF/MANIFEST.json", manifest, "handler.py", handler, "extra/vocab.pkl", evil(0))), "a MAR in tar.gz whose extra file is a pickle that calls")
	return join(w, m)
}
