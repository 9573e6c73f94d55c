package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// NewSSHKey makes an Ed25519 key as ssh-keygen writes it: the private half as
// OpenSSH's PEM, the public one as a line of authorized_keys.
func NewSSHKey(comment string) (private []byte, public string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return nil, "", err
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))) + " " + comment, nil
}

// SSHCommitSigner returns what signs a commit's payload with a private key as
// ssh-keygen writes it, as git does with gpg.format ssh. Keys with a passphrase
// are refused.
func SSHCommitSigner(private []byte) (func(payload []byte) (armored string, err error), error) {
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		// What the parser says may hold parts of the key.
		return nil, errors.New("it is no SSH private key without a passphrase")
	}
	return func(payload []byte) (string, error) {
		sig, err := sshsig.Sign(strings.NewReader(string(payload)), signer, sshsig.HashSHA512, sshNamespace)
		if err != nil {
			return "", fmt.Errorf("sign with the SSH key: %w", err)
		}
		return string(sshsig.Armor(sig)), nil
	}, nil
}
