package gateway

import (
	"testing"

	"github.com/apexlogic/apex/internal/identity"
)

func TestAClassThatIsNotKnownIsTheStrictest(t *testing.T) {
	for name, want := range map[string]Class{
		"": Unclassified, " \t": Unclassified,
		"Public": Public, "internal": Internal, "CONFIDENTIAL": Confidential, " Restricted ": Restricted,
		"Publik": Restricted, "Public, Internal": Restricted, "Public\x00": Restricted, "0": Restricted, "unclassified": Restricted,
	} {
		if got := ParseClass(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestLabelsAreOfTheConfigurationAndNeverOfAToken(t *testing.T) {
	const id = "spiffe://claims.example/intake"
	ours := map[string]map[string]string{id: {"team": "claims"}}
	claimed := map[string]any{"labels": map[string]string{"team": "admins"}, "role": "reader"}
	for _, tc := range []struct {
		name   string
		who    identity.Principal
		labels map[string]map[string]string
		team   string // "" is no labels
	}{
		{"a workload that has some", identity.Principal{ID: id, Method: identity.X509SVID}, ours, "claims"},
		{"a workload that claims others", identity.Principal{ID: id, Method: identity.JWTSVID, Claims: claimed}, ours, "claims"},
		{"a workload that has none and claims some", identity.Principal{ID: id, Method: identity.JWTSVID, Claims: claimed}, nil, ""},
		{"a person that claims some", identity.Principal{ID: "https://id.example#ada", Method: identity.OIDC, Claims: claimed}, ours, ""},
		{"a person by the name of a workload", identity.Principal{ID: id, Method: identity.OIDC}, ours, ""},
	} {
		got := Attributes(&tc.who, tc.labels)
		labels, _ := got["labels"].(map[string]string)
		if _, there := got["labels"]; there != (tc.team != "") || labels["team"] != tc.team {
			t.Errorf("%s: %v", tc.name, got)
		}
		if tc.who.Claims != nil && got["role"] != "reader" {
			t.Errorf("%s: its other claims are gone: %v", tc.name, got)
		}
	}
	if _, there := claimed["labels"]; !there {
		t.Error("the principal's own claims were changed")
	}
}
