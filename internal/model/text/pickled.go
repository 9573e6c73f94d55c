package text

import (
	"bytes"
	"encoding/base64"

	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	// keySerialized is the key under which Stable Baselines keeps what
	// cloudpickle wrote, in base64 (common/save_util.py, json_to_data).
	keySerialized = ":serialized:"
	// maxPickled bounds the text of one such value.
	maxPickled = 16 << 20
	// costBase64 is what a byte of it costs.
	costBase64 scan.Cost = 4
)

// pickled has every format look at what a string holds in base64, where its
// loader unpickles that, or it is a pickle whoever does. Records of data are
// nobody's settings.
func (w *jsonWalk) pickled(key string, raw []byte) error {
	sure := key == keySerialized
	if !sure && (w.records || !beginsAsPickle(raw)) {
		return nil
	}
	if len(raw) > maxPickled {
		w.place.Report(ruleJSONSize, w.at(), "a pickle in base64 is too long to be read")
		return nil
	}
	if err := w.place.Spend(scan.Cost(len(raw))*costBase64 + scan.CostMember); err != nil {
		return err
	}
	return w.place.Scoped(func() error {
		if _, err := w.place.Hold(2 * int64(len(raw))); err != nil {
			return err
		}
		const stop = '.' // the opcode that ends a pickle
		if b := base64Decoded(raw); len(b) > 0 && (sure || b[len(b)-1] == stop) {
			w.place.Inside(string(w.path), -1, scan.Bytes(b))
		}
		return nil
	})
}

// beginsAsPickle says whether a text is base64 of what begins as pickles of
// protocols 2 to 5 do.
func beginsAsPickle(raw []byte) bool {
	var head [3]byte
	if len(raw) < 16 || raw[0] != 'g' || raw[1] != 'A' {
		return false
	}
	_, err := base64.StdEncoding.Decode(head[:], raw[:4])
	return err == nil && head[1] >= 2 && head[1] <= 5
}

// base64Decoded decodes as Python's b64decode does: it passes over what is no
// letter of the alphabet, and ends at the padding.
func base64Decoded(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') >= 0 {
		raw = unescapeJSON(raw)
	}
	letters := make([]byte, 0, len(raw))
	for _, c := range raw {
		switch {
		case c == '=':
			continue
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			letters = append(letters, c)
		}
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(letters)))
	n, _ := base64.RawStdEncoding.Decode(out, letters)
	return out[:n]
}
