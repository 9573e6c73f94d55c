package render_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops/render"
)

// thousand is a revision of 1,000 objects in 100 files: half Deployments, half
// ConfigMaps.
func thousand() map[string]string {
	files := map[string]string{}
	var names []string
	for i := range 100 {
		var b strings.Builder
		for j := range 5 {
			n := fmt.Sprintf("app-%d-%d", i, j)
			fmt.Fprintf(&b, "---\n%s---\n%s", strings.ReplaceAll(deployment, "name: captioner", "name: "+n), edited(config, "settings", n))
		}
		name := fmt.Sprintf("f%03d.yaml", i)
		files["base/"+name] = b.String()
		names = append(names, name)
	}
	files["kustomized/kustomization.yaml"] = "namespace: vision\nlabels: [{pairs: {team: vision}}]\nimages: [{name: ghcr.io/vision/captioner, newTag: \"2\"}]\nresources: [../listed]\n"
	files["listed/kustomization.yaml"] = "resources: [" + strings.Join(names, ", ") + "]\n"
	for _, name := range names {
		files["listed/"+name] = files["base/"+name]
	}
	return files
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkRender(b *testing.B) {
	fsys := tree(thousand())
	for _, dir := range []string{"base", "kustomized"} {
		b.Run(dir, func(b *testing.B) {
			b.ReportAllocs()
			start := cpuTime()
			for b.Loop() {
				set, err := render.Render(b.Context(), fsys, dir, options)
				if err != nil || len(set.Objects()) != 1000 {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime()-start).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkRenderAgain renders a kustomization of 1,000 objects with a cache that
// has seen it: as it was, and with one of its 100 files changed.
func BenchmarkRenderAgain(b *testing.B) {
	files := thousand()
	o := options
	o.Cache = render.NewCache(64 << 20)
	again := func() {
		set, err := render.Render(b.Context(), tree(files), "kustomized", o)
		if err != nil || len(set.Objects()) != 1000 {
			b.Fatal(err)
		}
	}
	again()
	for name, change := range map[string]func(i int){
		"unchanged": func(int) {},
		"one file of 100 changed": func(i int) {
			files["listed/f042.yaml"] = edited(files["listed/f042.yaml"], "level: ", fmt.Sprintf("n%d: x, level: ", i))
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			start, i := cpuTime(), 0
			for b.Loop() {
				change(i)
				again()
				i++
			}
			b.ReportMetric(float64((cpuTime()-start).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

func BenchmarkReferences(b *testing.B) {
	set, err := render.Render(b.Context(), tree(thousand()), "base", options)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		if refs, refused := render.References(set); len(refs) != 500 || len(refused) > 0 {
			b.Fatal(refused)
		}
	}
	b.ReportMetric(float64((cpuTime()-start).Milliseconds())/float64(b.N), "cpu-ms/op")
}
