package jwt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestNoInvalidSignatureOfWycheproofIsAccepted runs the vectors of the project
// Wycheproof (github.com/C2SP/wycheproof), where WYCHEPROOF names its folder
// testvectors_v1. What they sign are no claims, so that only the JWS is read.
func TestNoInvalidSignatureOfWycheproofIsAccepted(t *testing.T) {
	dir := os.Getenv("WYCHEPROOF")
	if dir == "" {
		t.Skip("WYCHEPROOF is not set: clone github.com/C2SP/wycheproof and name its folder testvectors_v1")
	}
	for _, name := range []string{"json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			TestGroups []struct {
				Public, Private json.RawMessage
				Comment         string
				Tests           []struct {
					TcID    int
					Comment string
					Jws     json.RawMessage
					Result  string
				}
			}
		}
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for _, g := range file.TestGroups {
			set := g.Public
			if set == nil {
				set = g.Private
			}
			var about struct{ Keys []json.RawMessage }
			if err := json.Unmarshal(set, &about); err != nil {
				t.Fatal(err)
			}
			if about.Keys == nil {
				set = json.RawMessage(`{"keys":[` + string(set) + `]}`)
			}
			keys, keysErr := ParseKeys(set)
			for _, tt := range g.Tests {
				var text string
				if json.Unmarshal(tt.Jws, &text) != nil {
					text = string(tt.Jws) // the JSON serialization
				}
				token, _, err := parse(text)
				if keysErr != nil {
					err = keysErr
				} else if err == nil {
					err = keys.Verify(token)
				}
				accepted := err == nil
				switch {
				case accepted && tt.Result == "invalid":
					t.Errorf("%s %d (%s, %s) is accepted", name, tt.TcID, g.Comment, tt.Comment)
				case accepted:
					counts["valid, accepted"]++
				case tt.Result == "invalid":
					counts["invalid, refused"]++
				default:
					counts["valid, refused"]++
					t.Logf("%s %d (%s, %s) is valid and refused: %v", name, tt.TcID, g.Comment, tt.Comment, err)
				}
			}
		}
		t.Logf("%s: %v", name, counts)
		if name == "json_web_signature_test.json" && counts["valid, accepted"] == 0 {
			t.Error("nothing at all was accepted")
		}
	}
}
