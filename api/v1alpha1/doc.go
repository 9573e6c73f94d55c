// Package v1alpha1 holds the kinds of security.apexlogic.com/v1alpha1: the
// policies, trust and decisions that teams keep in Git.
//
// The same YAML is a file in Git and a custom resource in a cluster. One
// validator serves both: the CRD schema that controller-gen derives from the
// markers in this package, together with its CEL rules. Adding a kind is one
// file here and one page in docs/kinds.
//
// The types are plain data; they are safe to share once they are loaded.
//
// +kubebuilder:object:generate=true
// +groupName=security.apexlogic.com
package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of all kinds of this package.
var GroupVersion = schema.GroupVersion{Group: "security.apexlogic.com", Version: "v1alpha1"}

// AddToScheme registers all kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&ImageSecurityPolicy{}, &ImageSecurityPolicyList{},
		&ModelSecurityPolicy{}, &ModelSecurityPolicyList{},
		&FunctionSecurityPolicy{}, &FunctionSecurityPolicyList{},
		&TrustRoot{}, &TrustRootList{},
		&PolicyException{}, &PolicyExceptionList{},
		&Revocation{}, &RevocationList{},
		&BaseImageLock{}, &BaseImageLockList{},
		&GitSource{}, &GitSourceList{},
		&ProtectedRoute{}, &ProtectedRouteList{},
		&AccessPolicy{}, &AccessPolicyList{},
		&WorkloadIdentity{}, &WorkloadIdentityList{},
	)
	return nil
}
