package trust

import (
	"testing"
	"time"

	"github.com/apexlogic/apex/verdict"
)

func TestACommitSignedHereIsVerified(t *testing.T) {
	private, public, err := NewSSHKey("ci@example.com")
	if err != nil {
		t.Fatal(err)
	}
	sign, err := SSHCommitSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	v, err := CompileCommits([]CommitSigner{{Name: "ci", SSH: public}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	armored, err := sign([]byte("tree 1\n\nhello\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := v.Verify([]byte("tree 1\n\nhello\n"), []byte(armored), time.Now()); err != nil || s.Names[0] != "ci" {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := v.Verify([]byte("tree 2\n\nhello\n"), []byte(armored), time.Now()); Code(err) != verdict.CommitInvalid {
		t.Errorf("another commit: %v", err)
	}
	if _, err := SSHCommitSigner([]byte("no key")); err == nil {
		t.Error("anything is a key")
	}
}
