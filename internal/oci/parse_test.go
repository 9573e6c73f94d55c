package oci

import "testing"

func TestChallengesAreReadAsTheRegistryMeansThem(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []string
		want   challenge
		ok     bool
	}{
		{"Docker Hub", []string{`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"`}, challenge{"bearer", "https://auth.docker.io/token", "registry.docker.io"}, true},
		{"without quotes", []string{`Bearer realm=https://h/t?x=y,service=s`}, challenge{"bearer", "https://h/t?x=y", "s"}, true},
		{"in any case, with spaces", []string{`BEARER Realm = "r" , SERVICE = "a, b"`}, challenge{"bearer", "r", "a, b"}, true},
		{"Bearer before Basic", []string{`Basic realm="b"`, `Bearer realm="t"`}, challenge{"bearer", "t", ""}, true},
		{"both in one header", []string{`Basic realm="b", Bearer realm="t"`}, challenge{"bearer", "t", ""}, true},
		{"Basic alone", []string{`Basic`}, challenge{"basic", "", ""}, true},
		{"escapes", []string{`Basic realm="a\"b"`}, challenge{"basic", `a"b`, ""}, true},
		{"beside one that is not offered here", []string{`Negotiate, Basic realm="b"`}, challenge{"basic", "b", ""}, true},
		{"a realm twice", []string{`Bearer realm="a",realm="b"`}, challenge{}, false},
		{"an open quote", []string{`Bearer realm="a`}, challenge{}, false},
		{"a newline", []string{"Bearer realm=\"a\nb\""}, challenge{}, false},
		{"a control character without quotes", []string{"Bearer realm=a\x00b"}, challenge{}, false},
		{"a parameter without a scheme", []string{`realm="a"`}, challenge{}, false},
		{"nothing that is known", []string{`Negotiate`}, challenge{}, false},
		{"nothing", nil, challenge{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := pickChallenge(tc.values)
			if got != tc.want || (err == nil) != tc.ok {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestTheNextLinkIsFound(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []string
		want   string
		ok     bool
	}{
		{"none", nil, "", true},
		{"one", []string{`</a?b=c>; rel="next"`}, "/a?b=c", true},
		{"without quotes", []string{`</a>;rel=next`}, "/a", true},
		{"among others", []string{`</p>; rel="prev", </n>; title="x, <y>; rel=z"; rel="next last"`}, "/n", true},
		{"in the second header", []string{`</p>; rel=prev`, `</n>; rel=NEXT`}, "/n", true},
		{"commas in the target", []string{`</n?a,b;c>; rel=next`}, "/n?a,b;c", true},
		{"only the first rel counts", []string{`</n>; rel=prev; rel=next`}, "", true},
		{"two of them", []string{`</a>; rel=next, </b>; rel=next`}, "", false},
		{"an empty one", []string{`<>; rel=next`}, "", false},
		{"without brackets", []string{`/a; rel=next`}, "", false},
		{"an open bracket", []string{`</a; rel=next`}, "", false},
		{"an open quote", []string{`</a>; rel="next`}, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := nextLink(tc.values)
			if got != tc.want || (err == nil) != tc.ok {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
