package peers

import (
	"context"
	"crypto"
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v3/pkg/cosign"
	"github.com/sigstore/cosign/v3/pkg/oci"
	ociremote "github.com/sigstore/cosign/v3/pkg/oci/remote"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// withCosign verifies every image with cosign's library, set up as its program
// sets it up for "cosign verify --key K --insecure-ignore-tlog REF...": one
// transport, pusher and puller for all images of a pass.
func (s *stock) withCosign(bundles bool) func(b *testing.B) {
	key, err := cryptoutils.UnmarshalPEMToPublicKey(s.public(0))
	must(s.b, err)
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	must(s.b, err)
	return func(b *testing.B) {
		ctx := b.Context()
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = s.tls()
		defer transport.CloseIdleConnections()
		co := &cosign.CheckOpts{
			RegistryClientOpts: []ociremote.Option{ociremote.WithRemoteOptions(remoteOptions(ctx, b, transport)...)},
			SigVerifier:        verifier,
			IgnoreTlog:         true,
			IgnoreSCT:          true,
			NewBundleFormat:    bundles,
			ClaimVerifier:      cosign.SimpleClaimVerifier,
		}
		verify := cosign.VerifyImageSignatures
		if bundles {
			co.ClaimVerifier = cosign.IntotoSubjectClaimVerifier
			verify = func(ctx context.Context, ref name.Reference, co *cosign.CheckOpts) (checked []oci.Signature, bundle bool, err error) {
				return cosign.VerifyImageAttestations(ctx, ref, co)
			}
		}
		for _, r := range s.refs {
			ref, err := name.ParseReference(r)
			must(b, err)
			checked, _, err := verify(ctx, ref, co)
			must(b, err)
			if len(checked) == 0 {
				b.Fatalf("%s: nothing verified", r)
			}
		}
	}
}

// remoteOptions are those that cosign's program makes.
func remoteOptions(ctx context.Context, b *testing.B, transport http.RoundTripper) []remote.Option {
	b.Helper()
	opts := []remote.Option{
		remote.WithContext(ctx), remote.WithUserAgent("cosign"),
		remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(transport),
	}
	pusher, err := remote.NewPusher(opts...)
	must(b, err)
	opts = append(opts, remote.Reuse(pusher))
	puller, err := remote.NewPuller(opts...)
	must(b, err)
	return append(opts, remote.Reuse(puller))
}
