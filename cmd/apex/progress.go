package main

import (
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// byteBar shows how far long work is, on a terminal and nowhere else. Its
// methods may be called by one goroutine at a time.
type byteBar struct {
	bars *mpb.Progress
	bar  *mpb.Bar
}

// newByteBar returns a bar on w for work of total bytes; 0: the total is not
// known yet. Where w is no terminal it shows nothing.
func newByteBar(w io.Writer, what string, total int64) *byteBar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return &byteBar{}
	}
	bars := mpb.New(mpb.WithOutput(f), mpb.WithWidth(40), mpb.WithRefreshRate(150*time.Millisecond))
	bar := bars.AddBar(total, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(what+" "), decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)))
	return &byteBar{bars: bars, bar: bar}
}

// set says how far it is, of how much.
func (p *byteBar) set(done, total int64) {
	if p.bar == nil {
		return
	}
	p.bar.SetTotal(total, false)
	p.bar.SetCurrent(done)
}

// add counts bytes.
func (p *byteBar) add(n int64) {
	if p.bar != nil {
		p.bar.IncrInt64(n)
	}
}

// end takes the bar away.
func (p *byteBar) end() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}
