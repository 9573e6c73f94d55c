package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	benchWriters = 1024
	benchPayload = 300
)

// cpuTime returns the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// drive calls append n times from benchWriters goroutines, and returns how long
// it took and the 99th percentile of one call.
func drive(tb testing.TB, n int, append func([]byte) error) (took, p99, cpu time.Duration) {
	payload := make([]byte, benchPayload)
	waits := make([]time.Duration, n)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	cpu = cpuTime()
	start := time.Now()
	for range benchWriters {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				at := time.Now()
				if err := append(payload); err != nil {
					failed.Store(&err)
					return
				}
				waits[i] = time.Since(at)
			}
		})
	}
	wg.Wait()
	took, cpu = time.Since(start), cpuTime()-cpu
	if err := failed.Load(); err != nil {
		tb.Fatal(*err)
	}
	slices.Sort(waits)
	return took, waits[n*99/100], cpu
}

// bareLog is group commit and nothing else: length, payload, one fsync for all
// that wait.
type bareLog struct {
	f    *os.File
	mu   sync.Mutex
	buf  []byte
	wait []chan error
	wake chan struct{}
}

func newBareLog(tb testing.TB) *bareLog {
	f, err := os.Create(filepath.Join(tb.TempDir(), "bare"))
	if err != nil {
		tb.Fatal(err)
	}
	b := &bareLog{f: f, wake: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range b.wake {
			b.mu.Lock()
			buf, wait := b.buf, b.wait
			b.buf, b.wait = nil, nil
			b.mu.Unlock()
			_, err := b.f.Write(buf)
			if err == nil {
				err = b.f.Sync()
			}
			for _, c := range wait {
				c <- err
			}
		}
	}()
	tb.Cleanup(func() { close(b.wake); <-done; f.Close() })
	return b
}

func (b *bareLog) append(p []byte) error {
	done := make(chan error, 1)
	b.mu.Lock()
	b.buf = append(append(b.buf, byte(len(p)>>8), byte(len(p))), p...)
	b.wait = append(b.wait, done)
	b.mu.Unlock()
	signal(b.wake)
	return <-done
}

// BenchmarkDurable1024Writers is the ledger and, in the same run, a bare
// group-commit file: 1,024 writers, 300-byte payloads, each call returns after
// its fsync.
func BenchmarkDurable1024Writers(b *testing.B) {
	const n = 50_000
	var ours, bare struct{ took, p99, cpu time.Duration }
	rounds := 0
	for b.Loop() {
		rounds++
		log := newBareLog(b)
		took, p99, cpu := drive(b, n, log.append)
		bare.took, bare.cpu, bare.p99 = bare.took+took, bare.cpu+cpu, max(bare.p99, p99)
		l := open(b, b.TempDir(), Options{})
		took, p99, cpu = drive(b, n, func(p []byte) error {
			_, err := l.Append(b.Context(), Record{Type: TypeVerdict, Data: p}, Durable)
			return err
		})
		closeLedger(b, l)
		ours.took, ours.cpu, ours.p99 = ours.took+took, ours.cpu+cpu, max(ours.p99, p99)
	}
	all := float64(n * rounds)
	b.ReportMetric(all/ours.took.Seconds(), "appends/s")
	b.ReportMetric(bare.took.Seconds()/ours.took.Seconds(), "x-bare")
	b.ReportMetric(float64(ours.p99.Microseconds())/1000, "worst-p99-ms")
	b.ReportMetric(float64(ours.cpu.Microseconds())/all, "cpu-us/append")
	b.ReportMetric(all/bare.took.Seconds(), "bare/s")
	b.ReportMetric(float64(bare.p99.Microseconds())/1000, "bare-worst-p99-ms")
	b.ReportMetric(float64(bare.cpu.Microseconds())/all, "bare-cpu-us/append")
}

// BenchmarkOpenAppendClose is what a command pays that records one verdict: with
// a small open segment, and with one that is nearly full.
func BenchmarkOpenAppendClose(b *testing.B) {
	for _, before := range []int{0, 11_000} {
		b.Run(fmt.Sprintf("open-segment-of-%d-records", before), func(b *testing.B) {
			dir := b.TempDir()
			l := open(b, dir, Options{})
			batch := make([]Record, before)
			for i := range batch {
				batch[i] = Record{Type: TypeVerdict, Data: make([]byte, benchPayload)}
			}
			if _, err := l.AppendBatch(b.Context(), batch, Durable); err != nil {
				b.Fatal(err)
			}
			closeLedger(b, l)
			cpu := cpuTime()
			for b.Loop() {
				l, err := Open(b.Context(), dir, Options{})
				if err != nil {
					b.Fatal(err)
				}
				mustAppend(b, l, Durable, "{}")
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
		})
	}
}

// BenchmarkProve makes and checks a proof out of full segments.
func BenchmarkProve(b *testing.B) {
	l := open(b, b.TempDir(), Options{})
	batch := make([]Record, 20_000)
	for i := range batch {
		batch[i] = Record{Type: TypeVerdict, Data: make([]byte, benchPayload)}
	}
	receipts, err := l.AppendBatch(b.Context(), batch, Durable)
	if err != nil {
		b.Fatal(err)
	}
	mustSeal(b, l)
	cpu := cpuTime()
	for i := 0; b.Loop(); i++ {
		if _, err := VerifyProof(encoded(b, l, receipts[i%len(receipts)].ID, Disclose), l.VerifierKey()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
}

// BenchmarkFsck checks a ledger of 200,000 records.
func BenchmarkFsck(b *testing.B) {
	dir := b.TempDir()
	l := open(b, dir, Options{})
	batch := make([]Record, 10_000)
	for i := range batch {
		batch[i] = Record{Type: TypeVerdict, Data: make([]byte, benchPayload)}
	}
	for range 20 {
		if _, err := l.AppendBatch(b.Context(), batch, Written); err != nil {
			b.Fatal(err)
		}
	}
	mustSeal(b, l)
	closeLedger(b, l)
	cpu := cpuTime()
	for b.Loop() {
		r := wantClean(b, dir, l.VerifierKey())
		b.ReportMetric(float64(r.Records), "records")
		b.ReportMetric(float64(r.Bytes)/float64(r.Records*benchPayload), "bytes/payload")
	}
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
}
