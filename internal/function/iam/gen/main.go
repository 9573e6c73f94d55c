// Gen turns the action data of an unpacked iam-data package into the table
// that package iam embeds:
//
//	go run ./internal/function/iam/gen -data DIR -out internal/function/iam/actions.bin
//
// DIR holds actions/, resourceTypes/ and conditionKeys/, one JSON file per
// service. The same input gives the same bytes.
package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
)

// maxFile bounds one file of the package: the largest, EC2's actions, is below 2 MiB.
const maxFile = 16 << 20

type action struct {
	Name          string
	AccessLevel   string
	ResourceTypes []struct {
		Name             string
		Required         bool
		ConditionKeys    []string
		DependentActions []string
	}
	ConditionKeys    []string
	DependentActions []string
}

func main() {
	data := flag.String("data", "", "the package's data `directory`")
	version := flag.String("version", "", "the package's `version`, kept in the table")
	out := flag.String("out", "actions.bin", "the table to write")
	flag.Parse()
	if err := run(*data, *version, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir, version, out string) error {
	files, err := filepath.Glob(filepath.Join(dir, "actions", "*.json"))
	if err != nil {
		return err
	}
	if len(files) == 0 || version == "" {
		return fmt.Errorf("no actions in %q, or no version: give -data and -version", dir)
	}
	slices.Sort(files)
	table, err := Table(dir, version, files)
	if err != nil {
		return err
	}
	return os.WriteFile(out, table, 0o644)
}

// Table is laid out as catalog.go reads it: a version, an index of services and
// one block for each, deflated on its own so that a question about one service
// costs that service.
func Table(dir, version string, files []string) ([]byte, error) {
	var index, blocks []byte
	for _, file := range files {
		service := strings.TrimSuffix(filepath.Base(file), ".json")
		raw, err := block(dir, service)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", service, err)
		}
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.BestCompression)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(raw); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		index = text(index, service)
		index = binary.AppendUvarint(index, uint64(packed.Len()))
		index = binary.AppendUvarint(index, uint64(len(raw)))
		blocks = append(blocks, packed.Bytes()...)
	}
	table := text([]byte("iam1"), version)
	table = binary.AppendUvarint(table, uint64(len(files)))
	table = append(table, index...)
	return append(table, blocks...), nil
}

func block(dir, service string) ([]byte, error) {
	var actions map[string]action
	var types map[string]struct {
		Key           string
		ARN           string
		ConditionKeys []string
	}
	for _, f := range []struct {
		folder string
		into   any
	}{{"actions", &actions}, {"resourceTypes", &types}} {
		b, err := bounded.ReadFile(filepath.Join(dir, f.folder, service+".json"), maxFile)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, f.into); err != nil {
			return nil, err
		}
	}
	var out []byte
	place := map[string]int{}
	for _, k := range sorted(types) {
		place[types[k].Key] = len(place)
	}
	out = binary.AppendUvarint(out, uint64(len(types)))
	for _, k := range sorted(types) {
		out = text(out, types[k].Key)
		out = text(out, types[k].ARN)
		out = texts(out, types[k].ConditionKeys)
	}
	out = binary.AppendUvarint(out, uint64(len(actions)))
	for _, k := range sorted(actions) {
		a := actions[k]
		out = text(out, a.Name)
		level, err := level(a.AccessLevel)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		out = append(out, level)
		var on []byte
		keys, depends, n := a.ConditionKeys, a.DependentActions, 0
		for _, r := range a.ResourceTypes {
			at, ok := place[r.Name]
			if !ok {
				continue // a type that the package does not describe: its ARN is not known
			}
			n++
			on = binary.AppendUvarint(on, uint64(at)<<1|required(r.Required))
			keys, depends = append(keys, r.ConditionKeys...), append(depends, r.DependentActions...)
		}
		out = binary.AppendUvarint(out, uint64(n))
		out = append(out, on...)
		out = texts(out, unique(keys))
		out = texts(out, unique(depends))
	}
	return out, nil
}

func required(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// level is the bit set that catalog.go names Level.
func level(s string) (byte, error) {
	var l byte
	for part := range strings.SplitSeq(s, ", ") {
		at := slices.Index([]string{"List", "Read", "Write", "Permissions management", "Tagging"}, part)
		if at < 0 {
			return 0, fmt.Errorf("unknown access level %q", part)
		}
		l |= 1 << at
	}
	return l, nil
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func text(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func texts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = text(b, s)
	}
	return b
}
