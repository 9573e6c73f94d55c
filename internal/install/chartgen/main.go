// Command chartgen writes the Helm chart and the RBAC manifests of config from
// the objects that apex install applies, so that none of them differs.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/apexlogic/apex/internal/install"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "chartgen:", err)
		os.Exit(1)
	}
}

// run writes below the directory, which is config.
func run(config string) error {
	files, err := install.Chart(install.Options{}, "")
	if err != nil {
		return err
	}
	if err := install.Write(filepath.Join(config, "chart"), files); err != nil {
		return err
	}
	rights, err := install.Rights(install.Options{})
	if err != nil {
		return err
	}
	dir := filepath.Join(config, "rbac")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "rbac.yaml"), rights, 0o644)
}
