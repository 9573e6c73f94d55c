package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func hashOf(t testing.TB, password string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestUsersFileAuthenticatesAndGrants(t *testing.T) {
	text := "# people\n\nana:" + hashOf(t, "right", minCost) + ":vision/=pull,push shared/app=pull\r\n" +
		"bob:" + hashOf(t, "other", minCost) + ":vision/=pull\n" +
		"cyd:" + hashOf(t, "third", minCost) + "\n"
	users, err := ParseUsers(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, password string
		ok             bool
	}{
		{"ana", "right", true},
		{"ana", "right", true}, // by the quick comparison
		{"bob", "other", true},
		{"cyd", "third", true},
		{"ana", "wrong", false},
		{"ana", "", false},
		{"ana", "right" + strings.Repeat("x", 100), false},
		{"bob", "right", false},
		{"eve", "right", false},
		{"", "", false},
	} {
		p, err := users.Authenticate(t.Context(), c.user, c.password)
		if c.ok && (err != nil || p.Name != c.user || p.Operator) || !c.ok && !errors.Is(err, ErrCredentials) {
			t.Errorf("%q with %q: %+v, %v", c.user, c.password, p, err)
		}
	}
	f := serve(t, Options{Auth: users, Tenants: users.Tenants()})
	ana, bob := f.as("ana", "right"), f.as("bob", "other")
	ana.putImage("vision/app", "v1", "x")
	bob.want(bob.do("GET", "/v2/vision/app/manifests/v1", nil), 200, "")
	bob.want(bob.do("POST", "/v2/vision/app/blobs/uploads/", nil), 403, codeDenied)
	ana.want(ana.do("GET", "/v2/shared/app/tags/list", nil), 404, codeNameUnknown)
	ana.want(ana.do("GET", "/v2/shared/other/tags/list", nil), 403, codeDenied)
}

func TestUsersFileIsRefusedWithItsLineAndWithoutItsHash(t *testing.T) {
	hash := hashOf(t, "x", minCost)
	for name, text := range map[string]string{
		"a name with a space":      "a b:" + hash,
		"no name":                  ":" + hash,
		"no hash":                  "ana",
		"a password for a hash":    "ana:password:a/=pull",
		"a cheap hash":             "ana:" + hashOf(t, "x", bcrypt.MinCost),
		"a hash that costs a lot":  "ana:" + strings.Replace(hash, "$10$", "$20$", 1),
		"a user twice":             "ana:" + hash + "\nana:" + hash,
		"the local user's name":    "apex:" + hash,
		"a grant without a prefix": "ana:" + hash + ":=pull",
		"a grant that climbs":      "ana:" + hash + ":../=pull",
		"a grant of nothing":       "ana:" + hash + ":a/=",
		"an unknown action":        "ana:" + hash + ":a/=own",
		"a file without an end":    strings.Repeat("#", maxUsersFile+1),
	} {
		_, err := ParseUsers(strings.NewReader(text))
		if err == nil || strings.Contains(err.Error(), hash[20:]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseUsers(strings.NewReader("ana:" + hash + ":a/=pull")); err != nil {
		t.Errorf("a good line: %v", err)
	}
}

func TestUsersFileThatOthersMayWriteIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("ana:"+hashOf(t, "x", minCost)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadUsers(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadUsers(path); err == nil {
		t.Error("accepted")
	}
}

func TestHashingStopsWaitingWhenTheClientIsGone(t *testing.T) {
	users, err := ParseUsers(strings.NewReader("ana:" + hashOf(t, "x", minCost)))
	if err != nil {
		t.Fatal(err)
	}
	for range maxHashing {
		users.hashing <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := users.Authenticate(ctx, "ana", "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestTheLocalTokenIsMadeOnceAndKeptPrivate(t *testing.T) {
	dir := t.TempDir()
	a, err := OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	if a.Token() != b.Token() || len(a.Token()) != 64 {
		t.Errorf("tokens %d and %d characters long, equal: %v", len(a.Token()), len(b.Token()), a.Token() == b.Token())
	}
	if p, err := b.Authenticate(t.Context(), LocalUser, a.Token()); err != nil || !p.Operator {
		t.Errorf("%+v, %v", p, err)
	}
	for user, password := range map[string]string{LocalUser: a.Token()[:63], "root": a.Token(), "": ""} {
		if _, err := b.Authenticate(t.Context(), user, password); !errors.Is(err, ErrCredentials) {
			t.Errorf("%q was let in", user)
		}
	}
	for _, name := range []string{"token"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLocal(dir); err == nil || strings.Contains(err.Error(), a.Token()) {
			t.Errorf("a %s that others may read: %v", name, err)
		}
	}
}

func FuzzParseUsers(f *testing.F) {
	f.Add("ana:" + hashOf(f, "x", minCost) + ":a/=pull b/c=*")
	f.Add("# only a comment")
	f.Add("a:b:c")
	f.Fuzz(func(t *testing.T, text string) {
		users, err := ParseUsers(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, tenant := range users.Tenants() {
			if tenant.Prefix == "" || !validPrefix(tenant.Prefix) {
				t.Errorf("%q grants %q", text, tenant.Prefix)
			}
		}
	})
}
