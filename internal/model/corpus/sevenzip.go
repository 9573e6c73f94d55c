package corpus

import (
	"hash/crc32"
	"strings"
	"unicode/utf16"
)

type sevenFile struct{ name, data string }

// sevenZip writes a 7z of one folder. packed is the folder's data as coder
// leaves it; the copy coder leaves it as it is.
func sevenZip(coder, packed string, files ...sevenFile) []byte {
	crc := func(s string) string { return le32(int(crc32.ChecksumIEEE([]byte(s)))) }
	total := 0
	var sizes, digests, names strings.Builder
	for i, f := range files {
		total += len(f.data)
		if i < len(files)-1 {
			sizes.WriteString(sevenNumber(len(f.data)))
		}
		digests.WriteString(crc(f.data))
		for _, u := range utf16.Encode([]rune(f.name + "\x00")) {
			names.WriteString(le16(int(u)))
		}
	}
	header := "\x01\x04" +
		"\x06" + sevenNumber(0) + sevenNumber(1) + "\x09" + sevenNumber(len(packed)) + "\x00" +
		"\x07\x0b" + sevenNumber(1) + "\x00" + sevenNumber(1) + coder + "\x0c" + sevenNumber(total) + "\x00" +
		"\x08\x0d" + sevenNumber(len(files))
	if len(files) > 1 {
		header += "\x09" + sizes.String()
	}
	header += "\x0a\x01" + digests.String() + "\x00\x00" +
		"\x05" + sevenNumber(len(files)) + "\x11" + sevenNumber(names.Len()+1) + "\x00" + names.String() + "\x00\x00"
	start := le64(len(packed)) + le64(len(header)) + crc(header)
	return []byte("7z\xbc\xaf\x27\x1c\x00\x04" + crc(start) + start + packed + header)
}

// sevenStored is a 7z whose members are stored.
func sevenStored(files ...sevenFile) []byte {
	return sevenZip("\x01\x00", sevenData(files), files...)
}

// sevenLZMA is a 7z whose members are one LZMA stream, as 7z a -m0=lzma writes.
func sevenLZMA(files ...sevenFile) []byte {
	alone := lzmaAlone(sevenData(files)) // 5 bytes of properties, 8 of length, the stream
	return sevenZip("\x23\x03\x01\x01\x05"+alone[:5], alone[13:], files...)
}

func sevenData(files []sevenFile) string {
	var all strings.Builder
	for _, f := range files {
		all.WriteString(f.data)
	}
	return all.String()
}

// sevenNumber is the format's variable-length integer.
func sevenNumber(n int) string {
	for extra := range 8 {
		if n < 1<<(7*(extra+1)) {
			first := byte(0xff<<(8-extra)) | byte(n>>(8*extra))
			return string([]byte{first}) + le64(n)[:extra]
		}
	}
	return "\xff" + le64(n)
}
