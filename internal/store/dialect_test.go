package store_test

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/store"
)

func TestRebind(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"parameters are numbered from one", "a = ? AND b IN (?, ?)", "a = $1 AND b IN ($2, $3)"},
		{"ten follows nine", strings.Repeat("?,", 10), "$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,"},
		{"a question in a text stays", "a = 'why?' AND b = ?", "a = 'why?' AND b = $1"},
		{"a doubled quote does not end the text", "a = 'it''s?' AND b = ?", "a = 'it''s?' AND b = $1"},
		{"a backslash escapes in an E text", `a = E'\'?' AND b = ?`, `a = E'\'?' AND b = $1`},
		{"a backslash is itself in a plain text", `a = '\' AND b = ? AND c = ''`, `a = '\' AND b = $1 AND c = ''`},
		{"a name that ends in e is no E text", `SELECT type'\', ?`, `SELECT type'\', $1`},
		{"a question in a name stays", `"odd?" = ?`, `"odd?" = $1`},
		{"a line comment stays", "a -- really?\n = ?", "a -- really?\n = $1"},
		{"a block comment stays, nested too", "a /* ? /* ? */ ? */ = ?", "a /* ? /* ? */ ? */ = $1"},
		{"a dollar text stays", "$$ ? $$ || $x$ ? $$ $x$ || ?", "$$ ? $$ || $x$ ? $$ $x$ || $1"},
		{"a numbered parameter opens no dollar text", "$1 ? $1 ?", "$1 $1 $1 $2"},
		{"an open text swallows the rest", "'never closed ?", "'never closed ?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := store.Postgres.Rebind(tt.in); got != tt.want {
				t.Errorf("Rebind(%q)\n got %q\nwant %q", tt.in, got, tt.want)
			}
			if got := store.SQLite.Rebind(tt.in); got != tt.in {
				t.Errorf("SQLite's Rebind changed %q to %q", tt.in, got)
			}
		})
	}
}

// Whatever the text, only question marks are touched, and rebinding twice changes nothing more.
func FuzzRebind(f *testing.F) {
	for _, seed := range []string{"?", "a = '?' ? -- ?\n?", "$a$ ? $a$?", "/* ? /* */ ?", "E'\\'?'?", "\"?", "$1?", "$", "'", "?$$?", "?1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := store.Postgres.Rebind(in)
		if again := store.Postgres.Rebind(out); again != out {
			t.Errorf("rebinding %q gives %q and then %q", in, out, again)
		}
		if !strings.Contains(in, "?") && out != in {
			t.Errorf("%q has no parameter and became %q", in, out)
		}
	})
}
