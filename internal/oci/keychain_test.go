package oci_test

import (
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
)

type asked struct{ host string }

func (a asked) String() string      { return a.host + "/app" }
func (a asked) RegistryStr() string { return a.host }

func TestAHostKeychainKnowsItsHostOnly(t *testing.T) {
	next := oci.HostKeychain("other.example", "o", "2", nil)
	for _, tc := range []struct {
		name, host string
		keychain   oci.Keychain
		user       string
	}{
		{"its host", "127.0.0.1:5000", oci.HostKeychain("127.0.0.1:5000", "u", "1", next), "u"},
		{"another port", "127.0.0.1:5001", oci.HostKeychain("127.0.0.1:5000", "u", "1", next), ""},
		{"a host of the next one", "other.example", oci.HostKeychain("127.0.0.1:5000", "u", "1", next), "o"},
		{"no host at all", "", oci.HostKeychain("", "u", "1", next), ""},
		{"another host without a next one", "other.example", oci.HostKeychain("127.0.0.1:5000", "u", "1", nil), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := tc.keychain.Resolve(asked{tc.host})
			if err != nil {
				t.Fatal(err)
			}
			conf, err := authn.Authorization(t.Context(), a)
			if err != nil || conf.Username != tc.user {
				t.Errorf("got the user %q, %v; want %q", conf.Username, err, tc.user)
			}
		})
	}
}

func TestAHostKeychainLogsIn(t *testing.T) {
	img := ocitest.RawImage(t, "linux/amd64", "app")
	srv := ocitest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "u" || password != "p" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", oci.MediaTypeManifest)
		w.Write(img.Manifest)
	}))
	for _, tc := range []struct {
		password string
		ok       bool
	}{{"p", true}, {"wrong", false}} {
		c := newClientWith(t, oci.Options{Keychain: oci.HostKeychain(srv.Host, "u", tc.password, nil)}, srv)
		if _, err := c.Resolve(t.Context(), parse(t, srv.Repo("app:1"))); (err == nil) != tc.ok {
			t.Errorf("with the password %q: %v", tc.password, err)
		}
	}
}
