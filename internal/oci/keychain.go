package oci

import "github.com/google/go-containerregistry/pkg/authn"

// Keychain finds the credentials for a registry. It is the interface that
// credential helpers of all clouds implement; naming it here keeps the OCI
// libraries out of the rest of Apex.
type Keychain = authn.Keychain

// DockerKeychain reads credentials from the Docker configuration (credential
// helpers included) or, where there is none, from Podman's.
func DockerKeychain() Keychain { return authn.DefaultKeychain }

// HostKeychain gives user and password to the registry at host, as it is
// written in references ("127.0.0.1:5000"), and asks next for any other. An
// empty host is no registry; a nil next knows no credentials.
func HostKeychain(host, user, password string, next Keychain) Keychain {
	if next == nil {
		next = authn.NewMultiKeychain()
	}
	return hostKeychain{host: host, basic: authn.Basic{Username: user, Password: password}, next: next}
}

type hostKeychain struct {
	host  string
	basic authn.Basic
	next  Keychain
}

// Resolve implements [Keychain].
func (k hostKeychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if k.host != "" && r.RegistryStr() == k.host {
		return &k.basic, nil
	}
	return k.next.Resolve(r)
}

var _ Keychain = hostKeychain{}
