package app

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/apexlogic/apex/examples/captioner"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
)

// sampleModel is one model of the example.
type sampleModel struct {
	repository string
	signer     string
	// extra are files beside the good ones.
	extra map[string]string
	force bool
}

// poison is a pickle that would run a command when it is loaded. The command
// does nothing, and nothing here loads it.
const poison = "\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."

func sampleModels() []sampleModel {
	return []sampleModel{
		{repository: "vision/captioner-model", signer: modelsKey},
		{repository: "vision/captioner-model-poisoned", signer: modelsKey, extra: map[string]string{"optimizer.pt": poison}, force: true},
		{repository: "vision/captioner-model-stranger", signer: strangerKey},
	}
}

// stockModels packs the example's models. What is there already is left as it
// is, until its scan grows old and is made again.
func stockModels(ctx context.Context, registry *oci.Client, host string, keys *keyring, now time.Time, fresh bool) error {
	for _, s := range sampleModels() {
		if err := stockModel(ctx, registry, host, keys, s, now, fresh); err != nil {
			return fmt.Errorf("stock %s: %w", s.repository, err)
		}
	}
	return nil
}

func stockModel(ctx context.Context, registry *oci.Client, host string, keys *keyring, s sampleModel, now time.Time, fresh bool) error {
	ref, err := reference.Parse(host + "/" + s.repository + ":1.0")
	if err != nil {
		return err
	}
	if fresh {
		switch _, err := registry.Resolve(ctx, ref); {
		case err == nil:
			return nil
		case !oci.IsNotFound(err):
			return err
		}
	}
	dir, err := os.MkdirTemp("", "apex-captioner-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	folder := filepath.Join(dir, "captioner")
	files, err := fs.Sub(captioner.Model, "model")
	if err != nil {
		return err
	}
	if err := os.CopyFS(folder, files); err != nil {
		return err
	}
	for name, content := range s.extra {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	key, err := keys.signer(s.signer)
	if err != nil {
		return err
	}
	_, err = PackModel(ctx, registry, folder, ref, PackOptions{
		Key: key, Force: s.force, Clock: clock.At(now),
		Description: artifact.Description{Name: "captioner", Version: "1.0", Licenses: []string{"Apache-2.0"}, Created: captionerBuilt},
	})
	return err
}
