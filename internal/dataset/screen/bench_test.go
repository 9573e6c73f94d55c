package screen

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// photographs makes pictures that vary as photographs of things do: light and
// colour that change slowly, an object of one of ten outlines, grain, and now
// and then an area that is overexposed.
func photographs(n, side int, seed uint64, each func(pixels []byte, label int)) {
	r := rand.New(rand.NewPCG(seed, 6))
	const waves = 5
	pixels := make([]byte, side*side*3)
	grain := make([]float64, 4096)
	for i := range grain {
		grain[i] = r.NormFloat64()
	}
	var sines, cosines [2 * waves][]float64
	for k := range sines {
		sines[k], cosines[k] = make([]float64, side), make([]float64, side)
	}
	for range n {
		label := r.IntN(10)
		var amount [waves][3]float64
		for k := range waves {
			size := 60 / float64(k+1)
			fx, fy, phase := r.NormFloat64()*float64(k+1), r.NormFloat64()*float64(k+1), r.Float64()*2*math.Pi
			for j := range 3 {
				amount[k][j] = size * (0.7 + 0.6*r.Float64())
			}
			for i := range side {
				at := float64(i) / float64(side)
				sines[k][i], cosines[k][i] = math.Sincos(fx*at + phase)
				sines[waves+k][i], cosines[waves+k][i] = math.Sincos(fy * at)
			}
		}
		base := [3]float64{40 + r.Float64()*190, 40 + r.Float64()*190, 40 + r.Float64()*190}
		ink := [3]float64{r.Float64() * 255, r.Float64() * 255, r.Float64() * 255}
		x0, y0, size := 0.35+0.3*r.Float64(), 0.35+0.3*r.Float64(), 0.15+0.15*r.Float64()
		noise, at := 2+r.Float64()*10, r.IntN(len(grain))
		for y := range side {
			for x := range side {
				dx, dy := (float64(x)/float64(side)-x0)/size, (float64(y)/float64(side)-y0)/size
				inside := outline(label, dx, dy)
				for j := range 3 {
					v := base[j]
					if inside {
						v = ink[j]
					}
					for k := range waves {
						v += amount[k][j] * (sines[k][x]*cosines[waves+k][y] + cosines[k][x]*sines[waves+k][y]) / 2
					}
					at = (at + 1) % len(grain)
					pixels[(y*side+x)*3+j] = byte(max(0, min(255, v+noise*grain[at])))
				}
			}
			at = (at + r.IntN(97)) % len(grain)
		}
		each(pixels, label)
	}
}

func outline(label int, dx, dy float64) bool {
	ax, ay, r := math.Abs(dx), math.Abs(dy), math.Hypot(dx, dy)
	switch label {
	case 0:
		return ax < 1 && ay < 1
	case 1:
		return r < 1
	case 2:
		return (ax < 0.3 || ay < 0.3) && ax < 1 && ay < 1
	case 3:
		return ax < 1 && ay < 1 && math.Mod(dy+4, 0.5) < 0.25
	case 4:
		return ax < 1 && ay < 1 && math.Mod(dx+4, 0.5) < 0.25
	case 5:
		return r < 1 && r > 0.6
	case 6:
		return ay < 1 && ax < (1+dy)/2
	case 7:
		return ax+ay < 1
	case 8:
		return math.Abs(dx-dy) < 0.4 && ax < 1
	}
	return (ax < 1 && ay < 1) && (ax > 0.6 || ay > 0.6)
}

// BenchmarkScreen50k screens 50,000 pictures as the command does: they are read
// from a file, and memory is that of the whole process.
func BenchmarkScreen50k(b *testing.B) {
	const rows = 50_000
	for name, write := range map[string]func(b *testing.B, dir string) string{
		"32x32":   func(b *testing.B, dir string) string { return rawPictures(b, dir, rows, 32) },
		"224x224": func(b *testing.B, dir string) string { return jpegPictures(b, dir, rows, 224) },
	} {
		b.Run(name, func(b *testing.B) {
			path := write(b, b.TempDir())
			runtime.GC()
			for b.Loop() {
				before := cpu(b)
				s, err := Read(b.Context(), path, Options{})
				if err != nil {
					b.Fatal(err)
				}
				read := cpu(b)
				var steps []string
				began := map[string]time.Duration{}
				r, err := Run(b.Context(), s, Options{Progress: func(step string, _, _ int) {
					if _, known := began[step]; !known {
						steps, began[step] = append(steps, step), cpu(b)
					}
				}})
				if err != nil {
					b.Fatal(err)
				}
				for i, step := range steps {
					end := cpu(b)
					if i+1 < len(steps) {
						end = began[steps[i+1]]
					}
					b.Logf("%s: %.1f s CPU", step, (end - began[step]).Seconds())
				}
				b.ReportMetric((read - before).Seconds(), "read-cpu-s")
				b.ReportMetric((cpu(b) - read).Seconds(), "screen-cpu-s")
				b.ReportMetric(float64(len(r.Alerted())), "alerted")
			}
			b.ReportMetric(peak(b), "peak-MiB")
		})
	}
}

// rawPictures writes a JSONL file of raw pixels.
func rawPictures(b *testing.B, dir string, rows, side int) string {
	path := filepath.Join(dir, "pictures.jsonl")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	photographs(rows, side, 1, func(pixels []byte, label int) {
		fmt.Fprintf(f, "{\"label\":\"c%d\",\"image\":\"%s\"}\n", label, base64.StdEncoding.EncodeToString(pixels))
	})
	return path
}

// jpegPictures writes a folder of JPEGs for each label; the disk holds 2,000
// different ones, each under 25 names.
func jpegPictures(b *testing.B, dir string, rows, side int) string {
	const different = 2000
	n := 0
	photographs(different, side, 2, func(pixels []byte, label int) {
		img := image.NewRGBA(image.Rect(0, 0, side, side))
		for i := range side * side {
			img.SetRGBA(i%side, i/side, color.RGBA{pixels[3*i], pixels[3*i+1], pixels[3*i+2], 255})
		}
		var out bytes.Buffer
		if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 85}); err != nil {
			b.Fatal(err)
		}
		folder := filepath.Join(dir, fmt.Sprintf("c%d", label))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			b.Fatal(err)
		}
		first := filepath.Join(folder, fmt.Sprintf("%05d.jpg", n))
		for i := range rows / different {
			name := filepath.Join(folder, fmt.Sprintf("%05d.jpg", n+i))
			put := func() error { return os.Link(first, name) }
			if i == 0 {
				put = func() error { return os.WriteFile(name, out.Bytes(), 0o600) }
			}
			if err := put(); err != nil {
				b.Fatal(err)
			}
		}
		n += rows / different
	})
	return dir
}

// peak is the most memory that the process has had resident, in MiB.
func peak(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Maxrss) / 1024
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
