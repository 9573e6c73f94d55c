package native

import "strings"

// library is one C library that is carried around. A new one is a new row.
type library struct {
	// name is what the project calls itself; NVIDIA's are those of version.json.
	name string
	// stems are its file names up to ".so", without the hash that auditwheel
	// adds. One that ends in "*" stands for all that begin so.
	stems []string
	// marks stand before the version in its machine code, in order of trust.
	marks []mark
	// numbered says that the numbers of the file name are the project's version,
	// rather than its interface's.
	numbered bool
	// static says that others link it in, and that its mark proves it.
	static bool
	// nvidia says that it is looked at wherever it lies: CUDA images have it
	// without any record of a package.
	nvidia bool
}

// mark is how a version is found in bytes.
type mark struct {
	// before is what stands before it, "" for a text of its own that begins with
	// the major version.
	before string
	major  string
	// dated: a date follows. Other programs name the versions that they can use.
	dated bool
	// underscores stand for the dots.
	underscores bool
}

// libraries returns the table. The marks are those of the libraries' sources.
func libraries() []library {
	return []library{
		// NVIDIA
		{name: "cuda_cudart", stems: []string{"libcudart"}, numbered: true, nvidia: true},
		{name: "libcublas", stems: []string{"libcublas"}, numbered: true, nvidia: true},
		{name: "libcublas", stems: []string{"libcublasLt"}, numbered: true, nvidia: true},
		{name: "libcufft", stems: []string{"libcufft"}, numbered: true, nvidia: true},
		{name: "libcurand", stems: []string{"libcurand"}, numbered: true, nvidia: true},
		{name: "libcusolver", stems: []string{"libcusolver"}, numbered: true, nvidia: true},
		{name: "libcusparse", stems: []string{"libcusparse"}, numbered: true, nvidia: true},
		{name: "libcusparse_lt", stems: []string{"libcusparseLt"}, numbered: true, nvidia: true},
		{name: "libcufile", stems: []string{"libcufile"}, numbered: true, nvidia: true},
		{name: "libnpp", stems: []string{"libnppc"}, numbered: true, nvidia: true},
		{name: "libnvjpeg", stems: []string{"libnvjpeg"}, numbered: true, nvidia: true},
		{name: "libnvjitlink", stems: []string{"libnvJitLink"}, numbered: true, nvidia: true},
		{name: "cuda_nvrtc", stems: []string{"libnvrtc"}, numbered: true, nvidia: true},
		{name: "cuda_cupti", stems: []string{"libcupti"}, numbered: true, nvidia: true},
		{name: "cuda_nvtx", stems: []string{"libnvToolsExt"}, numbered: true, nvidia: true},
		{name: "cudnn", stems: []string{"libcudnn"}, numbered: true, nvidia: true},
		{name: "nccl", stems: []string{"libnccl"}, marks: []mark{{before: "NCCL version "}}, numbered: true, nvidia: true},
		{name: "tensorrt", stems: []string{"libnvinfer"}, marks: []mark{{before: "tensorrt_version_", underscores: true}}, numbered: true, nvidia: true},
		{name: "nvshmem", stems: []string{"libnvshmem_host"}, numbered: true, nvidia: true},

		// secrets and transport
		{name: "openssl", stems: []string{"libcrypto", "libssl"}, marks: []mark{{before: "OpenSSL ", dated: true}}, static: true},
		{name: "curl", stems: []string{"libcurl", "libcurl-gnutls"}, marks: []mark{{before: "libcurl/"}, {before: "CLIENT libcurl "}}, static: true},
		{name: "libssh2", stems: []string{"libssh2"}, marks: []mark{{before: "SSH-2.0-libssh2_"}}, static: true},
		{name: "nghttp2", stems: []string{"libnghttp2"}},
		{name: "krb5", stems: []string{"libkrb5", "libgssapi_krb5"}},
		{name: "postgresql", stems: []string{"libpq"}},

		// compression
		{name: "zlib", stems: []string{"libz", "zlib1"}, marks: []mark{{before: " inflate "}, {before: " deflate "}}, numbered: true, static: true},
		{name: "xz", stems: []string{"liblzma"}, marks: []mark{{major: "5."}}, numbered: true},
		{name: "bzip2", stems: []string{"libbz2"}, marks: []mark{{before: "bzip2/libbzip2: internal error number", major: "1.0."}}, numbered: true},
		{name: "brotli", stems: []string{"libbrotlicommon"}, numbered: true},
		{name: "zstd", stems: []string{"libzstd"}, numbered: true},
		{name: "lz4", stems: []string{"liblz4"}, numbered: true},
		{name: "libarchive", stems: []string{"libarchive"}, marks: []mark{{before: "libarchive "}}},

		// images and media
		{name: "libpng", stems: []string{"libpng", "libpng16"}, marks: []mark{{before: "libpng version "}}, static: true},
		{name: "libjpeg-turbo", stems: []string{"libjpeg", "libturbojpeg"}, marks: []mark{{before: "libjpeg-turbo version "}}, static: true},
		{name: "tiff", stems: []string{"libtiff"}, marks: []mark{{before: "LIBTIFF, Version "}}, static: true},
		{name: "libwebp", stems: []string{"libwebp", "libwebpdecoder"}},
		{name: "openjpeg", stems: []string{"libopenjp2"}, numbered: true},
		{name: "freetype", stems: []string{"libfreetype"}},
		{name: "harfbuzz", stems: []string{"libharfbuzz"}},
		{name: "lcms2", stems: []string{"liblcms2"}},
		{name: "libheif", stems: []string{"libheif"}, numbered: true},
		{name: "libde265", stems: []string{"libde265"}},
		{name: "libaom", stems: []string{"libaom"}, numbered: true},
		{name: "dav1d", stems: []string{"libdav1d"}},
		{name: "libavif", stems: []string{"libavif"}},
		{name: "libvpx", stems: []string{"libvpx"}},
		{name: "x264", stems: []string{"libx264"}},
		{name: "x265", stems: []string{"libx265"}},
		{name: "ffmpeg", stems: []string{"libavutil"}, marks: []mark{{before: "FFmpeg version "}}},
		{name: "ffmpeg-libavcodec", stems: []string{"libavcodec"}, numbered: true},
		{name: "ffmpeg-libavformat", stems: []string{"libavformat"}, numbered: true},
		{name: "libsndfile", stems: []string{"libsndfile"}, marks: []mark{{before: "libsndfile-"}}},
		{name: "libexif", stems: []string{"libexif"}},

		// numbers, text, data
		{name: "openblas", stems: []string{"libopenblas*", "libscipy_openblas*"}, marks: []mark{{before: "OpenBLAS "}}, static: true},
		{name: "intel-mkl", stems: []string{"libmkl_core", "libmkl_rt"}, numbered: true},
		{name: "gcc", stems: []string{"libgfortran", "libquadmath", "libgomp", "libgcc_s", "libstdc++"}},
		{name: "libffi", stems: []string{"libffi"}},
		{name: "sqlite", stems: []string{"libsqlite3"}, marks: []mark{{before: "SQLite format 3\x00", major: "3."}}, static: true},
		{name: "expat", stems: []string{"libexpat"}, marks: []mark{{before: "expat_"}}, static: true},
		{name: "libxml2", stems: []string{"libxml2"}, numbered: true},
		{name: "libxslt", stems: []string{"libxslt"}},
		{name: "hdf5", stems: []string{"libhdf5"}, marks: []mark{{before: "HDF5 library version "}}, static: true},
		{name: "netcdf", stems: []string{"libnetcdf"}},
		{name: "gdal", stems: []string{"libgdal"}},
		{name: "proj", stems: []string{"libproj"}},
		{name: "geos", stems: []string{"libgeos"}, numbered: true},
	}
}

// stem returns the name of a library's file up to its ending, without the hash
// that auditwheel and delvewheel add: "libpng16" of "libpng16-7e32b3a0.so.16.44".
// digits is the version behind the ending. ok is false for other files.
func stem(name string) (stem, digits string, ok bool) {
	switch i := strings.Index(name, ".so"); {
	case i > 0 && i+3 == len(name):
		stem = name[:i]
	case i > 0 && name[i+3] == '.':
		stem, digits = name[:i], name[i+4:]
	case strings.HasSuffix(name, ".dylib"):
		stem = strings.TrimSuffix(name, ".dylib")
		if i := strings.IndexByte(stem, '.'); i > 0 { // libz.1.2.13.dylib
			stem, digits = stem[:i], stem[i+1:]
		}
	case strings.HasSuffix(name, ".dll"), strings.HasSuffix(name, ".pyd"):
		stem = name[:len(name)-4]
	default:
		return "", "", false
	}
	if !isVersion(digits, 1) {
		digits = ""
	}
	if i := strings.LastIndexByte(stem, '-'); i > 0 && isHash(stem[i+1:]) {
		stem = stem[:i]
	}
	return stem, digits, stem != ""
}

// isHash says whether the text is what is added to make names unique.
func isHash(s string) bool {
	return (len(s) == 8 || len(s) == 32) && strings.Trim(s, "0123456789abcdef") == ""
}

// isVersion says whether the text is that many numbers with dots, or more.
func isVersion(s string, least int) bool {
	count := 0
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || len(part) > 12 || strings.Trim(part, "0123456789") != "" {
			return false
		}
		count++
	}
	return count >= least && count <= 6
}

// lookUp returns the row of a library by its stem.
func lookUp(table []library, stem string) (library, bool) {
	for _, l := range table {
		for _, s := range l.stems {
			if prefix, open := strings.CutSuffix(s, "*"); s == stem || open && strings.HasPrefix(stem, prefix) {
				return l, true
			}
		}
	}
	return library{}, false
}
