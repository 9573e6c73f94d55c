package attest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/verdict"
)

func joinTokens(t *testing.T, dir string, c clock.Clock) *attest.JoinTokens {
	t.Helper()
	j, err := attest.OpenJoinTokens(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestAJoinTokenWorksOnceWhoeverMadeIt(t *testing.T) {
	now := clock.At(noon)
	dir := filepath.Join(t.TempDir(), "join")
	maker, j := joinTokens(t, dir, now), joinTokens(t, dir, now)
	token, err := maker.New("intake", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil || strings.Contains(files[0]+string(data), token) {
		t.Errorf("the token itself is kept: %v", err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for _, other := range []string{token + "x", "", "../join/" + filepath.Base(files[0]), filepath.Base(files[0])} {
		_, err = j.Attest(t.Context(), []byte(other))
		refused(t, "another token", err, verdict.IdentityAttestation)
	}
	if got, err := j.Attest(t.Context(), []byte(token)); err != nil || !slices.Equal(got, []attest.Selector{"join:name:intake"}) {
		t.Errorf("the first time: %v, %v", got, err)
	}
	for _, at := range []*attest.JoinTokens{j, maker, joinTokens(t, dir, now)} {
		_, err = at.Attest(t.Context(), []byte(token))
		refused(t, "the second time", err, verdict.IdentityAttestation)
	}
	if token, err = j.New("intake", time.Minute); err != nil {
		t.Fatal(err)
	}
	now.Advance(time.Minute)
	_, err = j.Attest(t.Context(), []byte(token))
	refused(t, "too late", err, verdict.IdentityAttestation)
	for _, life := range []time.Duration{0, -1, attest.MaxJoinLife + 1} {
		if _, err := j.New("intake", life); err == nil {
			t.Errorf("a life of %s is taken", life)
		}
	}
	if _, err := j.New("", time.Minute); err == nil {
		t.Error("no name is taken")
	}
}

func TestOfManyWhoShowAJoinTokenAtOnceOneIsLetIn(t *testing.T) {
	j := joinTokens(t, filepath.Join(t.TempDir(), "join"), clock.At(noon))
	for range 20 {
		token, err := j.New("intake", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var in atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := j.Attest(t.Context(), []byte(token)); err == nil {
					in.Add(1)
				}
			})
		}
		if all.Wait(); in.Load() != 1 {
			t.Fatalf("%d were let in", in.Load())
		}
	}
}

func TestJoinTokensHaveAnEndAndADirectoryOfTheirOwn(t *testing.T) {
	now := clock.At(noon)
	dir := filepath.Join(t.TempDir(), "join")
	j := joinTokens(t, dir, now)
	for n := range 10_000 { // as so many that were made, without their synchronisation
		text := `{"name":"intake","until":"` + noon.Add(time.Minute).Format(time.RFC3339) + `"}`
		if err := os.WriteFile(filepath.Join(dir, strings.Repeat("0", 60)+string(rune('a'+n/1000))+string(rune('a'+n/100%10))+string(rune('a'+n/10%10))+string(rune('a'+n%10))), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.New("intake", time.Minute); err == nil {
		t.Error("there is no end of tokens")
	}
	now.Advance(time.Minute)
	if _, err := j.New("intake", time.Minute); err != nil {
		t.Errorf("when the others have expired: %v", err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%d are left: %v", len(all), err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := attest.OpenJoinTokens(open, now); err == nil {
		t.Error("a directory in which everybody may make tokens is taken")
	}
}
