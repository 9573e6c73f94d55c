// Package interop shows that Apex and cosign believe each other's signatures.
//
// Its tests hold two records that were made with the real cosign, in
// testdata/cosign-v3.1.3: what cosign signed, which Apex has to verify, and
// what Apex signed together with what cosign said about it. Neither needs
// cosign or a network to be checked again. Where cosign is found (APEX_COSIGN,
// or on the PATH), both directions also run live.
//
// Start with cosign_signed_test.go and apex_signed_test.go. tools/interop.sh
// installs cosign and makes both records anew.
//
// Sources: cosign SIGNATURE_SPEC and BUNDLE_SPEC, the sigstore bundle v0.3, the
// OCI distribution-spec v1.1 (referrers).
package interop
