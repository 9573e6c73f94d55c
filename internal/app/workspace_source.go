package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
)

// What a workspace applies: the manifests of its folder deploy, to the directory
// deployed.
const (
	folderDeploy   = "deploy"
	folderDeployed = "deployed"
	folderSources  = "sources" // in the state folder: out of reach of commits
	// workspaceSource is the name of the workspace's own GitSource.
	workspaceSource = "workspace"
	commitKey       = "workspace-commits"
)

// WorkspaceOperator is the entry of a workspace's trust whose key rolls back and
// promotes: that of the approver.
const WorkspaceOperator = "workspace-operator"

// Sources reads the GitSources of the workspace and whom they trust. They are
// kept in its state, which no commit changes.
func (w Workspace) Sources(ctx context.Context) (*config.Set, error) {
	dir := filepath.Join(w.State(), folderSources)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("the workspace has no source yet: run apex up in it once: %w", err)
	}
	set, err := config.Load(ctx, config.Dir(dir))
	if err != nil {
		return nil, err
	}
	return set, set.Err()
}

// commitSigner signs the commits that Apex makes in a workspace with its key,
// which is made the first time.
func (w Workspace) commitSigner() (sign func([]byte) (string, error), public string, err error) {
	file := w.commitKeyFile()
	private, err := bounded.ReadFile(file, maxKeyFile)
	if errors.Is(err, os.ErrNotExist) {
		var line string
		if private, line, err = trust.NewSSHKey(author.Email); err != nil {
			return nil, "", err
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, "", err
		}
		// The private half is the last of the pair to be written.
		if err := writeFile(file+".pub", []byte(line+"\n")); err != nil {
			return nil, "", err
		}
		err = writeFile(file, private)
	}
	if err != nil {
		return nil, "", err
	}
	line, err := bounded.ReadFile(file+".pub", maxKeyFile)
	if err != nil {
		return nil, "", err
	}
	if sign, err = trust.SSHCommitSigner(private); err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	return sign, string(line), nil
}

// signCommits makes the git command sign what is committed in the workspace.
//
// The file "signing" is there for as long as the lock of the repository's
// configuration may be ours. A process that was killed in between leaves both, and
// nobody but who serves the workspace next can know that the lock is nobody's.
func (w Workspace) signCommits(ctx context.Context, r *repo.Repo) error {
	signing := filepath.Join(w.State(), "signing")
	_, failed := os.Lstat(signing)
	if err := writeFile(signing, []byte("the configuration of the repository is being written\n")); err != nil {
		return err
	}
	err := r.SignWith(ctx, w.commitKeyFile())
	if failed == nil && errors.Is(err, repo.ErrLocked) { // who waited long enough for a git that runs
		if err := os.Remove(filepath.Join(w.Dir, ".git", "config.lock")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		err = r.SignWith(ctx, w.commitKeyFile())
	}
	if err != nil && failed == nil {
		return err // who comes next has to know it, too
	}
	return errors.Join(err, os.Remove(signing))
}

func (w Workspace) commitKeyFile() string {
	return filepath.Join(w.State(), "keys", commitKey)
}

// makeSource writes the workspace's own GitSource the first time: it trusts the
// workspace's key, from the commit that is at the head now.
func (w Workspace) makeSource(ctx context.Context, keys *keyring) error {
	r, err := repo.Open(w.Dir)
	if err != nil {
		return err
	}
	defer r.Close()
	_, public, err := w.commitSigner()
	if err != nil {
		return err
	}
	// A workspace may have been moved: the key's path is written each time.
	if err := w.signCommits(ctx, r); err != nil {
		return err
	}
	dir := filepath.Join(w.State(), folderSources)
	if _, err := os.Stat(filepath.Join(dir, workspaceSource+".yaml")); err == nil {
		return nil
	}
	head, err := r.Head()
	if err != nil {
		return err
	}
	operator, err := keys.public(approverKey)
	if err != nil {
		return err
	}
	gs := &v1alpha1.GitSource{TypeMeta: typeMeta("GitSource"), ObjectMeta: metav1.ObjectMeta{Name: workspaceSource}}
	gs.Spec = v1alpha1.GitSourceSpec{
		URL: w.Dir, Branch: "main", Path: folderDeploy, Namespace: "vision",
		Trust:  v1alpha1.GitTrust{FirstCommit: string(head), Signers: []string{commitKey}},
		Target: v1alpha1.GitTarget{Directory: &v1alpha1.DirectoryTarget{Path: filepath.Join(w.Dir, folderDeployed)}},
	}
	root := &v1alpha1.TrustRoot{TypeMeta: typeMeta("TrustRoot"), ObjectMeta: metav1.ObjectMeta{Name: "workspace-sources"}}
	root.Spec.Entries = []v1alpha1.TrustEntry{
		{Name: commitKey, Owner: author.Email, Uses: []v1alpha1.TrustUse{v1alpha1.UseCommits}, SSH: &v1alpha1.SSHEntry{PublicKey: public}},
		{Name: WorkspaceOperator, Owner: "security@apexlogic.example", Uses: []v1alpha1.TrustUse{v1alpha1.UsePromotions}, Key: &v1alpha1.KeyEntry{PEM: operator}},
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range []struct {
		file string
		doc  any
	}{{"trust.yaml", root}, {workspaceSource + ".yaml", gs}} {
		data, err := documentYAML(d.doc)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, d.file), data); err != nil {
			return err
		}
	}
	return nil
}

// commit commits to the workspace, signed with its key.
func (w Workspace) commit(ctx context.Context, r *repo.Repo, files map[string][]byte, message string) (repo.Commit, error) {
	sign, _, err := w.commitSigner()
	if err != nil {
		return "", err
	}
	return r.Commit(ctx, repo.Change{Files: files, Message: message, At: clock.System{}.Now(), Sign: sign})
}
