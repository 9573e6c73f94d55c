package config

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

// stops is a revocation of a digest that ends in a hexadecimal digit.
func stops(name, digit string) string {
	return "---\napiVersion: security.apexlogic.com/v1alpha1\nkind: Revocation\nmetadata: {name: " + name + "}\nspec: {digest: \"sha256:" + strings.Repeat("a", 63) + digit + "\", reason: it leaks}\n"
}

func TestWhatIsRevokedStopsAlsoBesideADocumentThatCannotBeInForce(t *testing.T) {
	p := NewPublisher(clock.At(noon))
	picky := Register(p, "picky", func(s *Set) (int, error) {
		for _, policy := range s.ImageSecurityPolicies {
			if policy.Value.Name == "refused" {
				return 0, &Invalid{Problems: []Problem{policy.Problem(verdict.PolicyInvalid, "spec", "no")}}
			}
		}
		return len(s.Revocations), nil
	})
	set := func(documents ...string) *Set {
		return load(t, Bytes("all.yaml", []byte(strings.Join(documents, "\n"))))
	}
	good := reference(t)
	refused := strings.Replace(good, "multimodal-ai-model-image-policy", "refused", 1)
	unread := strings.Replace(good, "action: Deny", "action: deny", 1)
	inForce := func(when string, want int, invalid bool, s *Set) {
		t.Helper()
		before := p.Current()
		g, err := p.Publish(t.Context(), s)
		if (err != nil) != invalid {
			t.Fatalf("%s: %v", when, err)
		}
		now := p.Current()
		if n, ok := picky.Of(now); !ok || n != want || len(now.Set.Revocations) != want || len(now.Set.ImageSecurityPolicies) != 1 {
			t.Errorf("%s: %d revocations are in force, %d should be", when, n, want)
		}
		if invalid && (g != nil) != (now != before) || !invalid && g != now || g != nil && (g.Hash != g.Set.Hash() || g.Set.Err() != nil) {
			t.Errorf("%s: %+v is told, %+v is in force", when, g, now)
		}
	}
	if g, err := p.Publish(t.Context(), set(refused, stops("one", "1"))); g != nil || err == nil || p.Current() != nil {
		t.Fatal("where nothing is in force, something is allowed")
	}
	inForce("at first", 0, false, set(good))
	inForce("beside what a room refuses", 1, true, set(refused, stops("one", "1")))
	inForce("the same once more", 1, true, set(refused, stops("one", "1")))
	inForce("beside what cannot be read", 2, true, set(unread, stops("one", "1"), stops("two", "2")))
	inForce("another under the same name", 3, true, set(refused, stops("one", "3"), stops("two", "2")))
	inForce("taken away beside what is refused", 3, true, set(refused))
	inForce("one that is none itself", 3, true, set(refused, stops("four", "g")))
	inForce("once all is mended", 1, false, set(good, stops("two", "2")))
	if one, other := set(good, stops("two", "2")), p.Current(); one.Hash() != other.Hash {
		t.Errorf("%s is in force, the documents are %s", other.Hash, one.Hash())
	}
	same := set(good, stops("one", "1"), stops("two", "2"))
	inForce("another one beside it", 2, true, set(refused, stops("one", "1")))
	if p.Current().Hash != same.Hash() {
		t.Error("the same documents have two names")
	}
}
