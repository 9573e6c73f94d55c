package tools

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
)

// Reporter is a scanner of the table that reports the vulnerabilities of an
// image, an SBOM or a folder in its own JSON, as policies ask for it by name.
// What it is told differs from the general scan: vulnerabilities alone, all
// packages listed, so that an empty list is told from one of nothing looked at.
type Reporter struct {
	// Name is what policies and reports call it; Tool is its name in the table.
	Name, Tool string
	// Oldest is the first version whose flags and report are those that are
	// written here: major, minor, patch.
	Oldest [3]int
	// Args are its arguments; the image is an OCI layout on disk.
	Args func(Request) ([]string, error)
	// Database says when its database was made, once it has run. The time is zero
	// when its report says that, or when it asked a service that is always of now.
	Database func(Request) (made time.Time, live bool, err error)
}

// Reporters returns the scanners that policies may name, in order.
func Reporters() []Reporter {
	return []Reporter{
		{Name: "Trivy", Tool: "trivy", Oldest: [3]int{0, 50, 0}, Args: trivyReport, Database: trivyDatabase},
		{Name: "Grype", Tool: "grype", Oldest: [3]int{0, 74, 0}, Args: grypeReport, Database: inReport},
		{Name: "OSV-Scanner", Tool: "osv-scanner", Oldest: [3]int{2, 0, 0}, Args: osvReport, Database: osvDatabase},
	}
}

func trivyReport(r Request) ([]string, error) {
	command, target := "fs", []string{r.Target.Dir}
	switch r.Target.Kind() {
	case Image:
		command, target = "image", []string{"--input", r.Target.Image}
	case SBOM:
		command, target = "sbom", []string{r.Target.SBOM}
	}
	args := []string{
		command, "--quiet", "--format", "json", "--output", r.Report, "--exit-code", trivyFound, "--no-progress", "--list-all-pkgs",
		"--ignorefile", r.Work + "/none", "--config", r.Work + "/none.yaml",
	}
	if command != "sbom" {
		args = append(args, "--scanners", "vuln")
	}
	switch {
	case r.Data.TrivyCache != "":
		args = append(args, "--cache-dir", r.Data.TrivyCache, "--skip-db-update", "--skip-java-db-update", "--offline-scan")
	case !r.Data.AllowFetching:
		return nil, errNeeds("the database", "name a cache folder that holds it")
	}
	return append(args, target...), nil
}

// trivyDatabase reads what trivy-db notes beside the database.
func trivyDatabase(r Request) (time.Time, bool, error) {
	dir := r.Data.TrivyCache
	if dir == "" {
		dir = filepath.Join(r.Work, "cache", "trivy")
	}
	data, err := bounded.ReadFile(filepath.Join(dir, "db", "metadata.json"), 64<<10)
	if err != nil {
		return time.Time{}, false, err
	}
	var meta struct{ UpdatedAt time.Time }
	if err := json.Unmarshal(data, &meta); err != nil {
		return time.Time{}, false, fmt.Errorf("db/metadata.json: %w", err)
	}
	return meta.UpdatedAt, false, nil
}

func grypeReport(r Request) ([]string, error) {
	if r.Data.GrypeDB == "" && !r.Data.AllowFetching {
		return nil, errNeeds("the database", "name a folder that holds it")
	}
	target := "dir:" + r.Target.Dir
	switch r.Target.Kind() {
	case Image:
		target = "oci-dir:" + r.Target.Image
	case SBOM:
		target = "sbom:" + r.Target.SBOM
	}
	return []string{"--quiet", "--output", "json", "--file", r.Report, target}, nil
}

// inReport is for scanners whose report says of when their database is.
func inReport(Request) (time.Time, bool, error) { return time.Time{}, false, nil }

func osvReport(r Request) ([]string, error) {
	if r.Target.Kind() == Image {
		return nil, errors.New("it reads no OCI layout: run it on the SBOM of the image")
	}
	args := []string{"scan", "source", "--format", "json", "--all-packages", "--config", r.Work + "/osv-scanner.toml"}
	switch {
	case r.Data.OSVDatabase != "":
		args = append(args, "--offline")
	case !r.Data.AllowFetching:
		return nil, errNeeds("the database", "name a folder with osv-scalibr/<ecosystem>/all.zip")
	}
	if r.Target.Kind() == SBOM {
		return append(args, "--lockfile", r.Target.SBOM), nil
	}
	return append(args, "--recursive", "--no-ignore", r.Target.Dir), nil
}

// osvDatabase is the age of the oldest ecosystem's file: the archive itself names
// no time, so that of fetching it counts.
func osvDatabase(r Request) (oldest time.Time, live bool, err error) {
	if r.Data.OSVDatabase == "" {
		return time.Time{}, true, nil
	}
	files, err := filepath.Glob(filepath.Join(r.Data.OSVDatabase, "osv-scalibr", "*", "all.zip"))
	if err != nil || len(files) == 0 {
		return time.Time{}, false, fmt.Errorf("osv-scalibr/<ecosystem>/all.zip: %w", fs.ErrNotExist)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return time.Time{}, false, err
		}
		if oldest.IsZero() || info.ModTime().Before(oldest) {
			oldest = info.ModTime()
		}
	}
	return oldest, false, nil
}
