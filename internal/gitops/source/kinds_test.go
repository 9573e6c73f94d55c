package source

import (
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/verdict"
)

func trustRoot(name, value string) string {
	return "apiVersion: security.apexlogic.com/v1alpha1\nkind: TrustRoot\nmetadata: {name: " + name + "}\nspec: {entries: [{name: " + value + "}]}\n"
}

// team is a story with people beside its signer "platform", who have keys of the
// same names.
type team struct {
	*story
	keys map[string]string
}

func newTeam(t *testing.T, trust func(*v1alpha1.GitTrust), people ...string) *team {
	t.Helper()
	out := &team{keys: map[string]string{}}
	home := t.TempDir()
	out.story = newStoryWith(t, func(o *Options) {
		for _, name := range people {
			key, public := sshKey(t, home, name)
			out.keys[name] = key
			o.TrustRoots[0].Spec.Entries = append(o.TrustRoots[0].Spec.Entries, v1alpha1.TrustEntry{
				Name: name, Owner: name, Uses: []v1alpha1.TrustUse{v1alpha1.UseCommits}, SSH: &v1alpha1.SSHEntry{PublicKey: public},
			})
		}
		trust(&o.Source.Spec.Trust)
	})
	out.keys["platform"] = out.key
	return out
}

// reset takes the branch back to what is applied.
func (s *team) reset() {
	s.t.Helper()
	if applied := s.Status().Commit; applied != "" {
		s.git("reset", "-q", "--hard", applied)
	}
}

func TestAPolicyIsAPolicyWhateverItsFileIsCalled(t *testing.T) {
	for name, trust := range map[string]func(*v1alpha1.GitTrust){
		"by a rule about kinds": func(in *v1alpha1.GitTrust) {
			in.Paths = []v1alpha1.GitPathTrust{{Pattern: "deploy/apps/**", Signers: []string{"developer", "platform", "security"}}}
			in.Kinds = []v1alpha1.GitKindTrust{{Kinds: []string{"*.security.apexlogic.com"}, Signers: []string{"platform", "security"}, Threshold: 2}}
		},
		"by the threshold of another path": func(in *v1alpha1.GitTrust) {
			in.Paths = []v1alpha1.GitPathTrust{
				{Pattern: "deploy/apps/**", Signers: []string{"developer", "platform", "security"}},
				{Pattern: "deploy/policies/**", Signers: []string{"platform", "security"}, Threshold: 2},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTeam(t, trust, "developer", "security")
			approve := func(commit, by string) {
				s.commit("Look at it\n\nApex-Prune: allow\nApex-Approves: "+commit, s.keys[by], nil)
			}
			s.commit("a setting", s.keys["developer"], map[string]string{"deploy/apps/a.yaml": configMap("a", "1")})
			s.pass()

			s.commit("a policy", s.keys["developer"], map[string]string{"deploy/apps/a.yaml": configMap("a", "2"), "deploy/apps/x.yaml": trustRoot("x", "thief")})
			s.refused(verdict.CommitPath)
			s.commit("something else", s.keys["security"], map[string]string{"deploy/apps/b.yaml": configMap("b", "1")})
			s.refused(verdict.CommitPath) // whoever signs what comes after it
			s.reset()
			s.commit("a policy", s.keys["security"], map[string]string{"deploy/apps/x.yaml": trustRoot("x", "thief")})
			s.refused(verdict.CommitThreshold)
			s.reset()

			good := s.commit("a policy", s.keys["security"], map[string]string{"deploy/apps/x.yaml": trustRoot("x", "friend")})
			approve(good, "platform")
			s.pass()

			s.commit("another signer", s.keys["developer"], map[string]string{"deploy/apps/x.yaml": trustRoot("x", "thief")})
			s.refused(verdict.CommitPath)
			s.reset()
			s.commit("no policy", s.keys["developer"], map[string]string{"deploy/apps/x.yaml": configMap("x", "1")})
			s.refused(verdict.CommitPath)
			s.reset()
			s.commit("no policy", s.keys["developer"], map[string]string{"deploy/apps/x.yaml": ""})
			s.refused(verdict.CommitPath)
			s.reset()

			// What changes none is the developer's.
			s.commit("a setting", s.keys["developer"], map[string]string{"deploy/apps/a.yaml": configMap("a", "3")})
			s.pass()
			good = s.commit("no policy\n\nApex-Prune: allow", s.keys["platform"], map[string]string{"deploy/apps/x.yaml": ""})
			approve(good, "security")
			s.pass()
		})
	}
}

func TestWithoutARuleAPolicyNeedsASignerOfTheSource(t *testing.T) {
	s := newTeam(t, func(in *v1alpha1.GitTrust) {
		in.Paths = []v1alpha1.GitPathTrust{{Pattern: "deploy/apps/**", Signers: []string{"developer", "platform"}}}
	}, "developer")
	s.commit("a setting", s.keys["developer"], map[string]string{"deploy/apps/a.yaml": configMap("a", "1")})
	s.pass()
	s.commit("a policy", s.keys["developer"], map[string]string{"deploy/apps/x.yaml": trustRoot("x", "thief")})
	s.refused(verdict.CommitPath)
	s.reset()
	s.commit("a policy", s.keys["platform"], map[string]string{"deploy/apps/x.yaml": trustRoot("x", "friend")})
	s.pass()
}

func TestAPatchOfAKustomizationIsAChangeOfThePolicyThatItPatches(t *testing.T) {
	s := newTeam(t, func(in *v1alpha1.GitTrust) {
		in.Paths = []v1alpha1.GitPathTrust{{Pattern: "deploy/**", Signers: []string{"developer", "platform"}}}
		in.Kinds = []v1alpha1.GitKindTrust{{Kinds: []string{"TrustRoot.security.apexlogic.com"}, Signers: []string{"platform"}}}
	}, "developer")
	patch := func(value string) string {
		return "patches:\n- target: {kind: TrustRoot}\n  patch: |-\n    - op: replace\n      path: /spec/entries/0/name\n      value: " + value + "\n"
	}
	kustomization := "resources: [a.yaml, x.yaml]\n"
	s.commit("begin", s.keys["platform"], map[string]string{
		"deploy/kustomization.yaml": kustomization, "deploy/a.yaml": configMap("a", "1"), "deploy/x.yaml": trustRoot("x", "friend"),
	})
	s.pass()
	s.commit("a patch", s.keys["developer"], map[string]string{
		"deploy/kustomization.yaml": kustomization + patch("thief"),
	})
	s.refused(verdict.CommitPath)
	s.commit("the policy is looked at", s.keys["platform"], map[string]string{"deploy/x.yaml": trustRoot("x", "friend") + "# \n"})
	s.refused(verdict.CommitPath) // which says nothing about the patch
	s.reset()
	s.commit("a setting", s.keys["developer"], map[string]string{"deploy/a.yaml": configMap("a", "2")})
	s.pass()
	s.commit("a patch", s.keys["platform"], map[string]string{
		"deploy/kustomization.yaml": kustomization + patch("other"),
	})
	s.pass()
	// Without the kustomization the policy is another one again.
	s.commit("no patch", s.keys["developer"], map[string]string{"deploy/kustomization.yaml": ""})
	s.refused(verdict.CommitPath)
	s.reset()
	s.commit("no patch", s.keys["platform"], map[string]string{"deploy/kustomization.yaml": ""})
	s.pass()
}

func TestARuleMayGuardAnyKind(t *testing.T) {
	s := newTeam(t, func(in *v1alpha1.GitTrust) {
		in.Signers = append(in.Signers, "developer")
		in.Kinds = []v1alpha1.GitKindTrust{{Kinds: []string{"Secret"}, Signers: []string{"platform"}}}
	}, "developer")
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: vision}\n"
	s.commit("a secret", s.keys["developer"], map[string]string{"deploy/apps[*]?.yaml": secret})
	s.refused(verdict.CommitPath)
	s.git("reset", "-q", "--hard", "HEAD^")
	s.commit("a secret", s.keys["platform"], map[string]string{"deploy/apps[*]?.yaml": secret})
	s.pass()
}

func TestASourceMayHoldOnlyTheKindsOfItsQuota(t *testing.T) {
	s := newStory(t, func(g *v1alpha1.GitSource) { g.Spec.Quota.Kinds = []string{"ConfigMap", "Deployment.apps"} })
	s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	s.pass()
	for _, text := range []string{
		"apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: vision}\n",
		"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n",
		"apiVersion: example.com/v1\nkind: Deployment\nmetadata: {name: x, namespace: vision}\n",
	} {
		s.commit("another kind", s.key, map[string]string{"deploy/x.yaml": text})
		err := s.Pass(t.Context())
		if r, is := errors.AsType[*follow.Refused](err); !is || r.Code != verdict.ApplyKind || !strings.Contains(r.Why, "spec.quota.kinds") {
			t.Errorf("%s: %v", text, err)
		}
	}
	s.commit("allowed kinds", s.key, map[string]string{"deploy/x.yaml": "", "deploy/b.yaml": configMap("b", "1")})
	s.pass()
}

func TestAnArtifactWithAPolicyNeedsAsManySignaturesAsItsKindAsksFor(t *testing.T) {
	p := newPublished(t, nil)
	one := p.release("1")
	second, public := signingKey(t)
	with := func(o *Options) {
		o.Source.Spec.Trust.Signers = append(o.Source.Spec.Trust.Signers, "security")
		o.Source.Spec.Trust.Kinds = []v1alpha1.GitKindTrust{{Kinds: []string{"*.security.apexlogic.com"}, Signers: []string{"releases", "security"}, Threshold: 2}}
		o.TrustRoots[0].Spec.Entries = append(o.TrustRoots[0].Spec.Entries, v1alpha1.TrustEntry{
			Name: "security", Owner: "security", Uses: []v1alpha1.TrustUse{v1alpha1.UseCommits}, Key: &v1alpha1.KeyEntry{PEM: public},
		})
	}
	f := p.follower(one.Digest, with)
	f.pass() // it holds none
	p.commit("a policy", p.key, map[string]string{"deploy/x.yaml": trustRoot("x", "friend")})
	p.pass()
	f.refused(verdict.CommitThreshold)
	p.countersign(p.tagged("main"), second)
	g := p.follower(one.Digest, with)
	g.pass()
}
