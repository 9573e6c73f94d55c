package app

import (
	"context"
	"crypto"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/trust"
)

// The annotations by which a bundle's referrer manifest says what is in it, as
// cosign writes them.
const (
	annotationBundleContent   = "dev.sigstore.bundle.content"
	annotationBundlePredicate = "dev.sigstore.bundle.predicateType"
)

// predicateSign is the predicate type of a signature without a further statement.
const predicateSign = "https://sigstore.dev/cosign/sign/v1"

// AttachBundle publishes a sigstore bundle as a referrer of the subject, in the
// layout that cosign reads.
func AttachBundle(ctx context.Context, registry *oci.Client, repo string, subject oci.Descriptor, bundle []byte, predicateType string) error {
	_, err := registry.Attach(ctx, repo, subject, oci.ArtifactBundleV03,
		map[string]string{annotationBundleContent: "dsse-envelope", annotationBundlePredicate: predicateType},
		oci.Blob{MediaType: oci.ArtifactBundleV03, Data: bundle})
	return err
}

// attest signs a predicate about the subject and attaches it.
func attest(ctx context.Context, registry *oci.Client, repo string, subject oci.Descriptor, signer crypto.Signer, predicate string, data []byte) error {
	predicateType, err := trust.PredicateType(predicate)
	if err != nil {
		return err
	}
	bundle, err := trust.Attest(signer, repo, subject.Digest, predicateType, data)
	if err != nil {
		return err
	}
	return AttachBundle(ctx, registry, repo, subject, bundle, predicateType)
}
