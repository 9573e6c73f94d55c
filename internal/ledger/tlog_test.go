package ledger

import (
	"encoding/base64"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func TestACheckpointHasOneSpelling(t *testing.T) {
	secret, vkey, err := note.GenerateKey(nil, testOrigin)
	must(t, err)
	signer, err := note.NewSigner(secret)
	must(t, err)
	root := base64.StdEncoding.EncodeToString(emptyRoot[:])
	for name, tc := range map[string]struct {
		text string
		ok   bool
	}{
		"as it is written":          {testOrigin + "\n12\n" + root + "\n", true},
		"of another log":            {"other\n12\n" + root + "\n", false},
		"with a further line":       {testOrigin + "\n12\n" + root + "\nmore\n", false},
		"without a root":            {testOrigin + "\n12\n", false},
		"with a zero before":        {testOrigin + "\n012\n" + root + "\n", false},
		"with a sign":               {testOrigin + "\n+12\n" + root + "\n", false},
		"with a size beyond reason": {testOrigin + "\n9223372036854775808\n" + root + "\n", false},
		"with a short root":         {testOrigin + "\n12\n" + root[:40] + "\n", false},
		"with a root spelt anew":    {testOrigin + "\n12\n" + root[:42] + "V=\n", false},
	} {
		signed, err := note.Sign(&note.Note{Text: tc.text}, signer)
		must(t, err)
		c, err := openCheckpoint(signed, vkey)
		if tc.ok != (err == nil) || (tc.ok && (c.size != 12 || c.root != emptyRoot)) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}
