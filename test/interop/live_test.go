package interop

import (
	"testing"
)

// The two tests here run the real cosign, where there is one. They use the
// record's keys and nothing else of it.

func TestLiveCosignVerifiesWhatApexSigns(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs cosign some thirty times")
	}
	r, h := readRecord(t), open(t)
	c, keys := newCosign(t, h, r.Password), signers(t, dir, r.Password)
	for _, m := range makings() {
		repository := repositoryOf("apex", m.name)
		subject := h.pushImage(repository, captioner)
		h.attach(t, repository, subject, m.make(t, keys[m.key], h.host+"/"+repository, subject.Digest))
		image := h.host + "/" + repository + "@" + string(subject.Digest)
		for _, a := range m.asks {
			t.Run(m.name+"/"+a.why, func(t *testing.T) {
				code, _, errs := c.run(about(a.command, image)...)
				if (code == 0) != a.passes {
					t.Errorf("exit code %d\n%s", code, errs)
				}
			})
		}
	}
}

func TestLiveApexVerifiesWhatCosignSigns(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs cosign some fifteen times")
	}
	r, h := readRecord(t), open(t)
	c := newCosign(t, h, r.Password)
	root := trusting(t, "cosign", "apex", "other")
	for _, s := range signings() {
		t.Run(s.name, func(t *testing.T) {
			e := entry{Name: s.name, Repository: repositoryOf("cosign", s.name)}
			e.Image = h.pushImage(e.Repository, captioner).Digest
			c.succeed(about(s.command, h.host+"/"+e.Repository+"@"+string(e.Image))...)
			got := h.evidence(e.Repository, e.Image, root)
			checkEvidence(t, &got, expectedOf(&record{Registry: h.host}, &e), e.Image)
		})
	}
}
