package native

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestLibraries(t *testing.T) {
	const site = "usr/lib/python3/site-packages/"
	const ssl = "OpenSSL 3.2.1 30 Jan 2024"
	tests := []struct {
		name string
		fs   fstest.MapFS
		want string
	}{
		{"a library beside its wheel tells its version and its owner", files(
			site+"scikit_x.libs/libopenblas64_p-r0-15028c96.3.21.so", elf{soname: "libopenblas64_p-r0-15028c96.3.21.so", text: "\x00OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH"},
			site+"scikit_x-1.2.0.dist-info/METADATA", "",
		), "pkg:generic/openblas@0.3.21?file_name=libopenblas64_p-r0-15028c96.3.21.so vendored of pkg:pypi/scikit-x@1.2.0\n"},
		{"in the folder that pip --target made", files(
			"layer/python/pillow.libs/libpng16-7e32b3a0.so.16.39.0", elf{soname: "libpng16-7e32b3a0.so.16.39.0", text: "1.2.13\x00 libpng version 1.6.39 - November 20, 2022"},
			"layer/python/pillow-10.0.0.dist-info/METADATA", "",
		), "pkg:generic/libpng@1.6.39?file_name=libpng16-7e32b3a0.so.16.39.0 vendored of pkg:pypi/pillow@10.0.0\n"},
		{"a library of unknown name is carried as well", files(
			site+"google_crc32c.libs/libcrc32c-7ebc40c5.so.1.1.0", elf{soname: "libcrc32c-7ebc40c5.so.1.1.0"},
		), "pkg:generic/libcrc32c@1.1.0?file_name=libcrc32c-7ebc40c5.so.1.1.0 vendored soname\n"},
		{"CUDA in wheels has the wheel's version", files(
			site+"nvidia/cublas/lib/libcublas.so.12", elf{soname: "libcublas.so.12"},
			site+"nvidia_cublas_cu12-12.4.5.8.dist-info/METADATA", "",
			site+"nvidia_cublas_other-1.dist-info/METADATA", "",
			site+"nvidia/cuda_runtime/lib/libcudart.so.12", elf{soname: "libcudart.so.12"},
			site+"nvidia_cuda_runtime_cu12-12.4.127.dist-info/METADATA", "",
		), "pkg:generic/libcublas@12.4.5.8?file_name=libcublas.so.12 vendored of pkg:pypi/nvidia-cublas-cu12@12.4.5.8\n" +
			"pkg:generic/cuda_cudart@12.4.127?file_name=libcudart.so.12 vendored of pkg:pypi/nvidia-cuda-runtime-cu12@12.4.127\n"},
		{"CUDA in wheels without a record has what the SONAME tells", files(
			site+"torch/lib/libcudart-d0da41ae.so.11.0", elf{soname: "libcudart-d0da41ae.so.11.0"},
			site+"torch-2.0.0.dist-info/METADATA", "",
		), "pkg:generic/cuda_cudart@11.0?file_name=libcudart-d0da41ae.so.11.0 vendored soname of pkg:pypi/torch@2.0.0\n"},
		{"CUDA without any package, wherever it lies", files(
			"usr/local/cuda-12.4/targets/x86_64-linux/lib/libcublasLt.so.12.4.5.8", elf{soname: "libcublasLt.so.12"},
			"usr/lib/x86_64-linux-gnu/libcudnn.so.9.1.0", elf{soname: "libcudnn.so.9"},
			"usr/lib/x86_64-linux-gnu/libnccl.so.2.21.5", elf{soname: "libnccl.so.2", text: "NCCL version 2.21.5+cuda12.4"},
			"opt/tensorrt/lib/libnvinfer.so.10", elf{soname: "libnvinfer.so.10", text: "tensorrt_version_10_0_1_6"},
		), "pkg:generic/tensorrt@10.0.1.6?file_name=libnvinfer.so.10 installed\n" +
			"pkg:generic/cudnn@9.1.0?file_name=libcudnn.so.9.1.0 installed\n" +
			"pkg:generic/nccl@2.21.5%2Bcuda12.4?file_name=libnccl.so.2.21.5 installed\n" +
			"pkg:generic/libcublas@12.4.5.8?file_name=libcublasLt.so.12.4.5.8 installed\n"},
		{"a distribution's library is the distribution's", files(
			"usr/lib/x86_64-linux-gnu/libcrypto.so.3", elf{soname: "libcrypto.so.3", text: ssl},
		), ""},
		{"the same library elsewhere is nobody's", files(
			"opt/app/lib/libcrypto.so.3", elf{soname: "libcrypto.so.3", text: ssl},
		), "pkg:generic/openssl@3.2.1?file_name=libcrypto.so.3 installed\n"},
		{"OpenSSL in an extension module", files(
			site+"cryptography/hazmat/bindings/_rust.abi3.so", elf{needed: []string{"libc.so.6"}, text: "OpenSSL 3's legacy provider\x00" + ssl},
			site+"cryptography-42.0.2.dist-info/METADATA", "",
		), "pkg:generic/openssl@3.2.1?file_name=_rust.abi3.so vendored static of pkg:pypi/cryptography@42.0.2\n"},
		{"an extension module that asks the loader for OpenSSL only names it", files(
			site+"psycopg2/_psycopg.cpython-311-x86_64-linux-gnu.so", elf{needed: []string{"libssl-81ffa89e.so.3"}, text: ssl},
		), ""},
		{"a text about OpenSSL is no OpenSSL", files(
			site+"x/_x.abi3.so", elf{text: "OpenSSL 1.1.1 or later is required\x00OpenSSL 3"},
		), ""},
		{"a version that stands alone", files(
			site+"apsw/__init__.cpython-311.so", elf{text: "SQLite format 3\x00\x003.40.1\x003.1\x00"},
			"opt/x/libbz2.so.1.0.8", elf{text: "bzip2/libbzip2: internal error number %d.\x001.0.8, 13-Jul-2019\x00"},
		), "pkg:generic/bzip2@1.0.8?file_name=libbz2.so.1.0.8 installed\n" +
			"pkg:generic/sqlite@3.40.1?file_name=__init__.cpython-311.so vendored static\n"},
		{"big endian, and stripped of sections", files(
			"opt/a/libz.so.1.2.13", elf{soname: "libz.so.1", text: " inflate 1.2.13 Copyright", order: binary.BigEndian},
			"opt/b/libz.so.1", elf{soname: "libz.so.1", text: " deflate 1.3.1 Copyright", stripped: true},
		), "pkg:generic/zlib@1.2.13?file_name=libz.so.1.2.13 installed\npkg:generic/zlib@1.3.1?file_name=libz.so.1 installed\n"},
		{"a mark on the border of what is read at a time", files(
			"opt/b/libz.so.1", elf{text: strings.Repeat("x", chunk-4) + " deflate 1.3.1 Copyright"},
		), "pkg:generic/zlib@1.3.1?file_name=libz.so.1 installed\n"},
		{"a linker script is no library", files("opt/x/libz.so", "/* GNU ld script */ INPUT ( -lz ) "+strings.Repeat(" ", 64)), ""},
		{"the toolkit's list of versions", files("usr/local/cuda-12.4/version.json", `{"cuda": {"name": "CUDA SDK", "version": "12.4.20240225"}, "libcublas": {"name": "CUDA cuBLAS", "version": "12.4.2.65"}}`,
			"srv/app/version.json", `{"app": {"version": "1"}}`),
			"pkg:generic/cuda@12.4.20240225 installed\npkg:generic/libcublas@12.4.2.65 installed\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := find(t, test.fs)
			if err != nil {
				t.Error(err)
			}
			if say(got) != test.want {
				t.Errorf("got\n%swant\n%s", say(got), test.want)
			}
		})
	}
}

// TestLibrariesOfThisMachine holds the marks against what compilers made of the
// libraries' sources, where the distribution's file name tells the version.
func TestLibrariesOfThisMachine(t *testing.T) {
	read := 0
	for pattern, want := range map[string]string{
		"libz.so.1.*.*": "zlib", "libcrypto.so.3": "openssl", "libpng16.so.16.*": "libpng", "libjpeg.so.*.*.*": "libjpeg-turbo", "libsqlite3.so.0.8.6": "sqlite",
		"libexpat.so.1.*": "expat", "libtiff.so.6.*": "tiff", "libcurl.so.4.*": "curl", "liblzma.so.5.*": "xz", "libbz2.so.1.0.*": "bzip2", "openblas-pthread/libopenblasp-r*.so": "openblas",
	} {
		for _, folder := range []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"} {
			found, _ := filepath.Glob(filepath.Join(folder, pattern))
			for _, name := range found {
				info, err := os.Lstat(name)
				if err != nil || !info.Mode().IsRegular() {
					continue
				}
				data, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				read++
				got, err := find(t, files("opt/lib/"+filepath.Base(name), data))
				if err != nil || len(got) != 1 || got[0].Name != want || !isVersion(strings.TrimRight(got[0].Version, "abcdefghijklmnopqrstuvwxyz"), 3) || got[0].Has("soname") {
					t.Errorf("%s: got %s(%v), want one %s", name, say(got), err, want)
				}
				t.Log(strings.TrimSpace(say(got)))
			}
		}
	}
	if read == 0 {
		t.Skip("no libraries here")
	}
}

// dylib makes a Mach-O library of one command, its name, and one section.
func dylib(id, text string) []byte {
	o := binary.LittleEndian
	name := append([]byte(id), 0)
	for len(name)%8 != 0 {
		name = append(name, 0)
	}
	const head, segment = 32, 72 + 80
	commands := uint32(24 + len(name) + segment)
	b := make([]byte, 0, 1024)
	for _, v := range []uint32{0xfeedfacf, 0x0100000c, 0, 6, 2, commands, 0, 0, 0xd, uint32(24 + len(name)), 24, 0, 0, 0} {
		b = o.AppendUint32(b, v)
	}
	b = append(b, name...)
	start := len(b)
	b = append(b, make([]byte, segment)...)
	o.PutUint32(b[start:], 0x19)
	o.PutUint32(b[start+4:], segment)
	s := b[start+72:]
	copy(s, "__cstring")
	o.PutUint64(s[40:], uint64(len(text)))
	o.PutUint32(s[48:], head+commands)
	return append(b, text...)
}

func TestLibrariesOfOtherSystems(t *testing.T) {
	const site = "lib/python3.12/site-packages/"
	got, err := find(t, files(
		site+"PIL/.dylibs/libpng16.16.dylib", dylib("@loader_path/libpng16.16.dylib", " libpng version 1.6.43 - February 23, 2024"),
		site+"PIL/.dylibs/libfoo.2.1.dylib", dylib("/DLC/PIL/libfoo.2.1.dylib", ""),
		site+"pillow-10.3.0.dist-info/METADATA", "",
	))
	want := "pkg:generic/libfoo@2.1?file_name=libfoo.2.1.dylib vendored soname of pkg:pypi/pillow@10.3.0\n" +
		"pkg:generic/libpng@1.6.43?file_name=libpng16.16.dylib vendored of pkg:pypi/pillow@10.3.0\n"
	if err != nil || say(got) != want {
		t.Errorf("got %v\n%swant\n%s", err, say(got), want)
	}
}

func TestWantsAllocatesNothing(t *testing.T) {
	for _, x := range Extractors() {
		for _, p := range []string{"usr/lib/x86_64-linux-gnu/libssl.so.3", "usr/bin/ls", "opt/x/libpng16-7e32b3a0.so.16.44", "lib/python3/site-packages/numpy.libs/libz.so.1"} {
			if n := testing.AllocsPerRun(10, func() { x.Wants(p, 0o755, 1<<20) }); n != 0 {
				t.Errorf("%s allocates %v times for %s", x.Name, n, p)
			}
		}
	}
}
