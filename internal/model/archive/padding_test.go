package archive_test

import (
	"slices"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

func TestZerosBetweenMembersOfAGzipAreSteppedOver(t *testing.T) {
	words, evil := stream(t, "gzip", "plain words\n"), stream(t, "gzip", payload)
	zeros := make([]byte, 100_000) // more than a buffer holds
	for name, c := range map[string]struct {
		content []byte
		verdict scan.Verdict
		rules   []string
	}{
		"a member that runs behind zeros": {slices.Concat(words, zeros, evil), scan.Malicious, []string{"test.evil"}},
		"behind one zero":                 {slices.Concat(words, zeros[:1], evil), scan.Malicious, []string{"test.evil"}},
		"the third of three":              {slices.Concat(words, zeros, words, zeros[:7], evil), scan.Malicious, []string{"test.evil"}},
		"words behind zeros":              {slices.Concat(words, zeros, words), scan.Clean, nil},
		"zeros at the end":                {slices.Concat(words, zeros), scan.Clean, nil},
		"something else behind zeros":     {slices.Concat(words, zeros, []byte("tail")), scan.Unscannable, []string{"stream.trailing"}},
	} {
		t.Run(name, func(t *testing.T) { wantRules(t, examine(t, c.content), c.verdict, c.rules...) })
	}
}
