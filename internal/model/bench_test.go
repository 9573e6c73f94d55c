//go:build unix

package model_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/scan"
)

// userTime is the CPU time outside of the kernel, whose part is the disk's.
func userTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}

// BenchmarkDiff compares two files with one tensor of 1 GiB, sparse on disk.
func BenchmarkDiff(b *testing.B) {
	const size = 1 << 30
	for _, dtype := range []string{"F32", "BF16", "F16"} {
		bytesOf := map[string]int{"F32": 4, "BF16": 2, "F16": 2}[dtype]
		write := func(name string, last byte) string {
			full := filepath.Join(b.TempDir(), name)
			header := fmt.Sprintf(`{"w":{"dtype":"%s","shape":[%d],"data_offsets":[0,%d]}}`, dtype, size/bytesOf, size)
			header += strings.Repeat(" ", (8-len(header)%8)%8)
			head := string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header
			if err := os.WriteFile(full, []byte(head), 0o600); err != nil {
				b.Fatal(err)
			}
			f, err := os.OpenFile(full, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt([]byte{last}, int64(len(head))+size-1)
			}
			if err == nil {
				err = f.Close()
			}
			if err != nil {
				b.Fatal(err)
			}
			return full
		}
		base, same, changed := write("base", 1), write("same", 1), write("changed", 2)
		for name, other := range map[string]string{"same": same, "changed": changed} {
			b.Run(dtype+"/"+name, func(b *testing.B) {
				b.SetBytes(size)
				before := userTime()
				for b.Loop() {
					if _, err := model.New(scan.Limits{}).Compare(b.Context(), base, other, model.Options{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((userTime()-before).Milliseconds())/float64(b.N), "user-ms/op")
			})
		}
	}
}
