package render

import (
	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

func (r *renderer) functions(name string, data []byte, d manifest.Document) error {
	return refuse(verdict.ObjectInvalid, d.Where(""), "no Kubernetes object: write apiVersion and kind, or move the file out of the path")
}
