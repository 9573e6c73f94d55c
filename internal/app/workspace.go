package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/examples/captioner"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/registry"
	"github.com/apexlogic/apex/internal/repo"
)

// Workspace is a Git repository with policies, trust and workloads, and beside
// them the state of the Apex that serves it, in a folder that Git ignores.
type Workspace struct {
	Dir string
}

// The folders of a workspace. What is in force is read from the commit at its
// head, never from files that nobody has committed.
const (
	folderState      = ".apex"
	folderPolicies   = "policies"
	folderTrust      = "trust"
	folderWorkloads  = "workloads"
	folderExceptions = "exceptions"
)

// author signs the commits that Apex itself makes in a workspace.
var author = repo.Author{Name: "apex", Email: "apex@localhost"}

// FindWorkspace returns the workspace that dir is in.
func FindWorkspace(dir string) (Workspace, bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Workspace{}, false
	}
	for {
		if info, err := os.Stat(filepath.Join(dir, folderState)); err == nil && info.IsDir() {
			if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
				return Workspace{dir}, true
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return Workspace{}, false
		}
		dir = parent
	}
}

// State is the folder for ledger, meter, registry, keys and caches.
func (w Workspace) State() string { return filepath.Join(w.Dir, folderState) }

// Head returns the commit that is in force.
func (w Workspace) Head() (string, error) {
	r, err := repo.Open(w.Dir)
	if err != nil {
		return "", err
	}
	defer r.Close()
	head, err := r.Head()
	return string(head), err
}

// atHead calls look with the files of the commit at the head. They can be read
// until look returns.
func (w Workspace) atHead(ctx context.Context, look func(head repo.Commit, files fs.FS) error) error {
	r, err := repo.Open(w.Dir)
	if err != nil {
		return err
	}
	defer r.Close()
	head, err := r.Head()
	if err != nil {
		return err
	}
	tree, err := r.At(ctx, head)
	if err != nil {
		return err
	}
	return look(head, tree)
}

// Load reads the documents of the commit at the head.
func (w Workspace) Load(ctx context.Context) (set *config.Set, head string, err error) {
	err = w.atHead(ctx, func(at repo.Commit, files fs.FS) error {
		head = string(at)
		var sources []config.Source
		for _, folder := range []string{folderPolicies, folderTrust, folderExceptions} {
			if info, err := fs.Stat(files, folder); err == nil && info.IsDir() {
				sub, err := fs.Sub(files, folder)
				if err != nil {
					return err
				}
				sources = append(sources, config.FS(folder, sub))
			}
		}
		set, err = config.Load(ctx, sources...)
		return err
	})
	return set, head, err
}

// Workloads returns the manifests of the commit at the head, by path.
func (w Workspace) Workloads(ctx context.Context) (map[string][]byte, error) {
	manifests := map[string][]byte{}
	err := w.atHead(ctx, func(_ repo.Commit, files fs.FS) error {
		return fs.WalkDir(files, folderWorkloads, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(files, name)
			manifests[name] = data
			return err
		})
	})
	return manifests, err
}

// Commit commits files to the workspace's repository, now.
func (w Workspace) Commit(ctx context.Context, files map[string][]byte, message string) (string, error) {
	r, err := repo.Open(w.Dir)
	if err != nil {
		return "", err
	}
	defer r.Close()
	c, err := w.commit(ctx, r, files, message)
	return string(c), err
}

// endpoints is where the Apex of a workspace listens.
type endpoints struct {
	Registry string `json:"registry"`
	API      string `json:"api"`
	Gateway  string `json:"gateway"`
	// Captioner is where the example's server is, behind the gateway.
	Captioner string `json:"captioner"`
}

func (w Workspace) endpointsFile() string { return filepath.Join(w.State(), "endpoints.json") }

// maxStateFile bounds the small files of the state folder.
const maxStateFile = 1 << 20

func (w Workspace) endpoints() (endpoints, error) {
	var e endpoints
	data, err := bounded.ReadFile(w.endpointsFile(), maxStateFile)
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(data, &e)
}

// RegistryHost returns the host of the workspace's own registry, or "".
func (w Workspace) RegistryHost() string {
	e, err := w.endpoints()
	if err != nil {
		return ""
	}
	return e.Registry
}

// Keychain finds the local token for the workspace's own registry, and asks
// next for any other.
func (w Workspace) Keychain(next oci.Keychain) oci.Keychain {
	local, err := registry.OpenLocal(filepath.Join(w.State(), "registry"))
	if err != nil {
		return next
	}
	return LocalKeychain(w.RegistryHost(), local.Token(), next)
}

// LocalKeychain gives the local token of the registry on host, and asks next
// for any other.
func LocalKeychain(host, token string, next oci.Keychain) oci.Keychain {
	return oci.HostKeychain(host, registry.LocalUser, token, next)
}

// makeWorkspace makes the repository with the example's files the first time.
// Later it leaves all that is committed as it is.
//
// The file "making" is there from before the repository is until after its
// first commit. A process that was killed in between leaves a repository that
// nobody has committed to; it is made anew. One that was killed once the commit was
// there may have left the lock that it was made under, which nobody else removes.
func makeWorkspace(ctx context.Context, dir string, at endpoints, keys *keyring) (Workspace, error) {
	w := Workspace{dir}
	making := filepath.Join(w.State(), "making")
	head, err := w.Head()
	if _, failed := os.Lstat(making); failed == nil {
		if head == "" {
			if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil {
				return w, err
			}
			_, err = w.Head()
		} else {
			if err := os.Remove(filepath.Join(dir, ".git", "index.lock")); err != nil && !errors.Is(err, os.ErrNotExist) {
				return w, err
			}
			if err := os.Remove(making); err != nil {
				return w, err
			}
		}
	}
	switch {
	case err == nil:
		return w, nil
	case !errors.Is(err, repo.ErrNotRepository) && !errors.Is(err, repo.ErrNoCommit):
		return w, err
	}
	files, err := captionerFiles(at, keys)
	if err != nil {
		return w, err
	}
	r, err := repo.Open(dir)
	if errors.Is(err, repo.ErrNotRepository) {
		if err := writeFile(making, []byte("a repository is being made\n")); err != nil {
			return w, err
		}
		r, err = repo.Init(dir, author)
	}
	if err != nil {
		return w, err
	}
	defer r.Close()
	if _, err := w.commit(ctx, r, files, "Begin with the captioner example"); err != nil {
		return w, err
	}
	if err := os.Remove(making); err != nil && !errors.Is(err, os.ErrNotExist) {
		return w, err
	}
	return w, nil
}

// captionerFiles are the example's files with this workspace's keys and addresses in them.
func captionerFiles(at endpoints, keys *keyring) (map[string][]byte, error) {
	files := map[string][]byte{".gitignore": []byte("/" + folderState + "/\n/" + folderDeployed + "/\n")}
	err := fs.WalkDir(captioner.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := captioner.Files.ReadFile(name)
		switch path.Dir(name) {
		case folderWorkloads:
			data = bytes.ReplaceAll(data, []byte("${REGISTRY}"), []byte(at.Registry))
		case "gateway":
			data = bytes.ReplaceAll(data, []byte("${CAPTIONER}"), []byte(at.Captioner))
			data = bytes.ReplaceAll(data, []byte("${UID}"), strconv.AppendInt(nil, int64(os.Getuid()), 10))
			name = path.Join(folderPolicies, path.Base(name))
		}
		files[name] = data
		return err
	})
	if err != nil {
		return nil, err
	}
	// What is deployed to begin with is the good one; the others are there to be tried.
	files[path.Join(folderDeploy, "captioner.yaml")] = files[path.Join(folderWorkloads, "captioner.yaml")]
	root, err := captionerTrust(keys)
	if err != nil {
		return nil, err
	}
	lock, err := captionerLock()
	if err != nil {
		return nil, err
	}
	for name, doc := range map[string]any{
		path.Join(folderTrust, "apexlogic.yaml"):               root,
		path.Join(folderPolicies, "approved-base-images.yaml"): lock,
	} {
		data, err := documentYAML(doc)
		if err != nil {
			return nil, err
		}
		files[name] = data
	}
	return files, nil
}

// documentYAML writes one of our documents without the fields that only a
// cluster fills in.
func documentYAML(doc any) ([]byte, error) {
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	delete(fields, "status")
	if meta, ok := fields["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	return yaml.Marshal(fields)
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind}
}

// captionerTrust is the trust root of the example's keys.
func captionerTrust(keys *keyring) (*v1alpha1.TrustRoot, error) {
	root := &v1alpha1.TrustRoot{TypeMeta: typeMeta("TrustRoot"), ObjectMeta: metav1.ObjectMeta{Name: "apexlogic"}}
	for _, e := range []v1alpha1.TrustEntry{
		{Name: signingKey, Owner: "release@apexlogic.example"},
		{Name: buildKey, Owner: "ci@apexlogic.example"},
		{Name: scannerKey, Owner: "scanning@apexlogic.example"},
		{Name: modelsKey, Owner: "models@apexlogic.example", Uses: []v1alpha1.TrustUse{v1alpha1.UseModels}},
		{Name: approverKey, Owner: "security@apexlogic.example", Uses: []v1alpha1.TrustUse{v1alpha1.UseExceptions, v1alpha1.UseRevocations}},
	} {
		pem, err := keys.public(e.Name)
		if err != nil {
			return nil, err
		}
		e.Key = &v1alpha1.KeyEntry{PEM: pem}
		root.Spec.Entries = append(root.Spec.Entries, e)
	}
	root.Spec.Entries = append(root.Spec.Entries, v1alpha1.TrustEntry{
		Name: "Trivy", Scanner: &v1alpha1.ScannerEntry{SignedBy: []string{scannerKey}},
	})
	return root, nil
}

// captionerLock locks the stand-in of the approved base image.
func captionerLock() (*v1alpha1.BaseImageLock, error) {
	lock := &v1alpha1.BaseImageLock{TypeMeta: typeMeta("BaseImageLock"), ObjectMeta: metav1.ObjectMeta{Name: "approved-base-images"}}
	img, err := baseImage("linux/amd64").Build()
	if err != nil {
		return nil, err
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	platform := v1alpha1.LockedPlatform{Platform: "linux/amd64", Digest: digest.String()}
	for _, id := range cfg.RootFS.DiffIDs {
		platform.DiffIDs = append(platform.DiffIDs, id.String())
	}
	lock.Spec.Images = []v1alpha1.LockedBaseImage{{
		Image: captionerBase, Digest: digest.String(),
		ResolvedAt: metav1.NewTime(captionerBuilt), Platforms: []v1alpha1.LockedPlatform{platform},
	}}
	return lock, nil
}

// readStock and writeStock remember when the example's images were scanned.
func (w Workspace) readStock() (stocked, error) {
	var s stocked
	data, err := bounded.ReadFile(filepath.Join(w.State(), "stock.json"), maxStateFile)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

func (w Workspace) writeStock(s stocked) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(w.State(), "stock.json"), data)
}

// writeFile replaces a small state file in one step.
func writeFile(name string, data []byte) error {
	tmp := fmt.Sprintf("%s.%d", name, time.Now().UnixNano())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}
