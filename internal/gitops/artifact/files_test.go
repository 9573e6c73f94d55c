package artifact_test

import (
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/gitops/artifact"
)

func TestFilesAreAFileSystem(t *testing.T) {
	f := artifact.Files{"a.yaml": []byte("a: 1\n"), "deploy/b.yaml": []byte("b: 2\n"), "deploy/more/c.yaml": nil}
	if err := fstest.TestFS(f, "a.yaml", "deploy/b.yaml", "deploy/more/c.yaml"); err != nil {
		t.Error(err)
	}
	if err := fstest.TestFS(artifact.Files{}); err != nil {
		t.Error(err)
	}
}
