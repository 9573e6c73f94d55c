package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// kind is a kind of body.
type kind struct {
	name   string
	enough int // requests of a round, which ends earlier when its time is over
	dear   bool
	make   func(*rand.Rand) []byte
}

// bodies are what is sent.
func bodies() []*kind {
	pictures := map[int][]string{}
	for _, side := range []int{512, 725} {
		for seed := range 6 {
			pictures[side] = append(pictures[side], picture(side, uint64(seed)))
		}
	}
	with := func(side int) func(*rand.Rand) []byte {
		return func(r *rand.Rand) []byte {
			return chat(r, []any{
				map[string]any{"type": "text", "text": prose(r, 40+r.IntN(120))},
				map[string]any{"type": "image_url", "image_url": map[string]any{"url": "data:image/png;base64," + pictures[side][r.IntN(6)]}},
			})
		}
	}
	return []*kind{
		{name: "small", enough: 1 << 30, make: func(r *rand.Rand) []byte { return chat(r, prose(r, 40+r.IntN(160))) }},
		{name: "10 KB text", enough: 1 << 30, make: func(r *rand.Rand) []byte { return chat(r, prose(r, 9500+r.IntN(1000))) }},
		{name: fmt.Sprintf("image %.1f MB", float64(len(pictures[512][0]))/1e6), enough: 60, dear: true, make: with(512)},
		{name: fmt.Sprintf("image %.1f MB", float64(len(pictures[725][0]))/1e6), enough: 60, dear: true, make: with(725)},
	}
}

func chat(r *rand.Rand, content any) []byte {
	data, err := json.Marshal(map[string]any{
		"model": "captioner", "temperature": 0.2, "max_tokens": 16 + r.IntN(500),
		"messages": []any{
			map[string]any{"role": "system", "content": "You describe pictures of damaged cars."},
			map[string]any{"role": "user", "content": content},
		},
	})
	if err != nil {
		panic(err) // of values of ours
	}
	return data
}

// prose puts a text of some n bytes together from common words, with the signs
// that people write.
func prose(r *rand.Rand, n int) string {
	var b strings.Builder
	for start := true; b.Len() < n; {
		w := words[r.IntN(len(words))]
		if start {
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		b.WriteString(w)
		start = false
		switch r.IntN(24) {
		case 0, 1:
			b.WriteString(". ")
			start = true
		case 2:
			b.WriteString(", ")
		case 3:
			b.WriteString("? ")
			start = true
		case 4:
			fmt.Fprintf(&b, " (at most %d) ", r.IntN(100))
		case 5:
			b.WriteString("; ")
		case 6:
			b.WriteString("'s ")
		case 7:
			b.WriteString(".\n\n")
			start = true
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

var words = strings.Fields(`our claims team photographs damaged cars and would like the captions to say which side was hit please keep them
short factual neutral if you are unsure say so do not guess about what happened before after while during between because although
front rear left right door bumper window mirror wheel paint scratch dent crack glass lamp light street rain night morning report
customer policy number letter answer question picture photograph note voice form table list summary sentence paragraph page word
describe explain compare translate rewrite check count find show give take make write read look think know want need help work use
small large long old new first last next same other many few more less most least each every any some none both one two three four
red blue green black white silver grey dark bright clean dirty broken whole open closed early late quick slow careful simple clear
insurance garage repair estimate cost price euro hour day week month year driver passenger owner witness police parking motorway`)

// picture is a PNG of noise, as base64.
func picture(side int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	m := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range m.Pix {
		m.Pix[i] = byte(r.Uint32())
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err) // into memory
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// connections is how many requests are under way at once.
const connections = 4

var seeds atomic.Uint64

// send sends up to n requests for a time, and counts them and those that were
// refused. Any other answer than 200 and 403 is an error.
func send(to, token string, body func(*rand.Rand) []byte, n int, each time.Duration) (all, bad int, err error) {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var workers sync.WaitGroup
	end := time.Now().Add(each)
	for range min(n, connections) {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(seeds.Add(1), 2))
			for {
				mu.Lock()
				over := all >= n || time.Now().After(end) || err != nil
				if !over {
					all++
				}
				mu.Unlock()
				if over {
					return
				}
				status, failed := ask(client, to, token, body(r))
				mu.Lock()
				if failed != nil {
					err = failed
				}
				switch status {
				case http.StatusOK:
				case http.StatusForbidden:
					bad++
				default:
					err = fmt.Errorf("a request is answered %d", status)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return all, bad, err
}

func ask(client *http.Client, to, token string, body []byte) (int, error) {
	r, err := http.NewRequest(http.MethodPost, to+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Host = "captioner.example"
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"openai-python/1.40.0"}, "Authorization": {"Bearer " + token},
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
