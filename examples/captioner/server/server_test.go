package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/examples/captioner"
	"github.com/apexlogic/apex/examples/captioner/tiny"
	"github.com/apexlogic/apex/internal/scanhub/dast"
)

func start(t *testing.T, o Options, wrap func(http.Handler) http.Handler) *httptest.Server {
	t.Helper()
	weights, err := captioner.Model.ReadFile("model/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	model, err := tiny.Load(weights)
	if err != nil {
		t.Fatal(err)
	}
	o.Now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	h := New(model, o)
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// drawing is a picture of the label as a PNG, larger than what the model sees.
func drawing(t *testing.T, label int) string {
	t.Helper()
	points := tiny.Sample(rand.New(rand.NewPCG(1, uint64(label))), label)
	const scale = 4
	m := image.NewRGBA(image.Rect(0, 0, tiny.Side*scale, tiny.Side*scale))
	for y := range tiny.Side * scale {
		for x := range tiny.Side * scale {
			at := ((y/scale)*tiny.Side + x/scale) * 3
			m.Set(x, y, color.RGBA{uint8(points[at] * 255), uint8(points[at+1] * 255), uint8(points[at+2] * 255), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

func chat(question, url string, stream bool) string {
	body, _ := json.Marshal(map[string]any{"model": ModelName, "stream": stream, "messages": []any{
		map[string]any{"role": "system", "content": "Answer shortly."},
		map[string]any{"role": "user", "content": []any{
			map[string]any{"type": "text", "text": question},
			map[string]any{"type": "image_url", "image_url": map[string]any{"url": url}},
		}},
	}})
	return string(body)
}

func TestAChatAnswersAboutThePicture(t *testing.T) {
	s := start(t, Options{}, nil)
	for label, caption := range tiny.Labels() {
		words := strings.Fields(caption)
		for question, want := range map[string]string{"What is it?": caption, "Which colour has it?": words[1], "And the shape?": words[2]} {
			status, body := post(t, s.URL+"/v1/chat/completions", chat(question, drawing(t, label), false))
			var got struct {
				Choices []struct{ Message struct{ Content string } }
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK || got.Choices[0].Message.Content != want {
				t.Errorf("%s: %d %s, want %q", question, status, body, want)
			}
		}
	}
}

func TestAStreamSaysTheSame(t *testing.T) {
	s := start(t, Options{}, nil)
	_, body := post(t, s.URL+"/v1/chat/completions", chat("What is it?", drawing(t, 0), true))
	var text string
	for l := range strings.Lines(body) {
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if data, ok := strings.CutPrefix(l, "data: {"); ok {
			if err := json.Unmarshal([]byte("{"+data), &chunk); err != nil {
				t.Fatal(err)
			}
			text += chunk.Choices[0].Delta.Content
		}
	}
	if text != tiny.Labels()[0] || !strings.HasSuffix(body, "data: [DONE]\n\n") {
		t.Errorf("%q from %s", text, body)
	}
}

func TestInferenceTakesABatch(t *testing.T) {
	s := start(t, Options{}, nil)
	points := append(tiny.Sample(rand.New(rand.NewPCG(1, 2)), 3), tiny.Sample(rand.New(rand.NewPCG(1, 3)), 7)...)
	body, _ := json.Marshal(map[string]any{"id": "x", "inputs": []any{map[string]any{"name": "picture", "datatype": "FP32", "shape": []int{2, 16, 16, 3}, "data": points}}})
	status, answer := post(t, s.URL+"/v2/models/captioner/infer", string(body))
	if status != http.StatusOK || !strings.Contains(answer, `"data":["`+tiny.Labels()[3]+`","`+tiny.Labels()[7]+`"]`) {
		t.Errorf("%d %s", status, answer)
	}
}

func TestWhatIsNotDescribedIsRefused(t *testing.T) {
	s := start(t, Options{}, nil)
	big := `{"id":"` + strings.Repeat("x", maxBody) + `"}`
	infer := func(shape, data string) string {
		return `{"inputs":[{"name":"picture","datatype":"FP32","shape":` + shape + `,"data":` + data + `}]}`
	}
	for name, c := range map[string]struct {
		path, body string
		status     int
	}{
		"a picture elsewhere":       {"/v1/chat/completions", chat("?", "http://169.254.169.254/latest", false), 400},
		"a file":                    {"/v1/chat/completions", chat("?", "file:///etc/passwd", false), 400},
		"no base64":                 {"/v1/chat/completions", chat("?", "data:image/png;base64,!!", false), 400},
		"no picture in it":          {"/v1/chat/completions", chat("?", "data:image/png;base64,AAAA", false), 400},
		"no picture":                {"/v1/chat/completions", `{"model":"captioner","messages":[{"role":"user","content":"hello"}]}`, 400},
		"no message":                {"/v1/chat/completions", `{"model":"captioner","messages":[]}`, 400},
		"another model":             {"/v1/chat/completions", `{"model":"gpt-4","messages":[{"role":"user","content":"hello"}]}`, 404},
		"another model's inference": {"/v2/models/other/infer", infer("[1,16,16,3]", "[]"), 404},
		"no JSON":                   {"/v1/chat/completions", "{", 400},
		"two values":                {"/v1/chat/completions", "{}{}", 400},
		"a large body":              {"/v1/chat/completions", big, 413},
		"a negative batch":          {"/v2/models/captioner/infer", infer("[-1,16,16,3]", "[]"), 400},
		"a shape without its data":  {"/v2/models/captioner/infer", infer("[1,16,16,3]", "[0.5]"), 400},
		"an endless batch":          {"/v2/models/captioner/infer", infer("[4611686018427387904,16,16,3]", "[]"), 400},
	} {
		if status, body := post(t, s.URL+c.path, c.body); status != c.status || strings.Contains(body, "passwd") {
			t.Errorf("%s: %d %.200s", name, status, body)
		}
	}
}

func TestATokenIsAskedFor(t *testing.T) {
	s := start(t, Options{Token: "open sesame"}, nil)
	for token, want := range map[string]int{"": 401, "Bearer ": 401, "Bearer open": 401, "open sesame": 401, "Bearer open sesame": 200} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/models", nil)
		req.Header.Set("Authorization", token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: %d, want %d", token, resp.StatusCode, want)
		}
	}
}

// TestTheScannerFindsNothing replays the description with hostile values, as
// apex scan --openapi does; a server with a flaw beside it shows that it would
// have been found.
func TestTheScannerFindsNothing(t *testing.T) {
	const token = "open sesame"
	var answered sync.Map // operations that were also called rightly
	probe := func(wrap func(http.Handler) http.Handler) []string {
		s := start(t, Options{Token: token}, func(h http.Handler) http.Handler {
			if wrap != nil {
				h = wrap(h)
			}
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen := &status{ResponseWriter: w, code: http.StatusOK}
				h.ServeHTTP(seen, r)
				if seen.code == http.StatusOK {
					answered.Store(r.Method+" "+r.URL.Path, true)
				}
			})
		})
		run, err := dast.Scan(t.Context(), description, dast.Options{Base: s.URL, Header: http.Header{"Authorization": {"Bearer " + token}}, Rate: 2000})
		if err != nil {
			t.Fatal(err)
		}
		if run.Problem != "" {
			t.Errorf("not all was probed: %s", run.Problem)
		}
		var found []string
		for _, r := range run.Results {
			found = append(found, r.Rule+": "+r.Message)
		}
		return found
	}
	if found := probe(nil); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	for _, op := range []string{"GET /v1/models", "POST /v1/chat/completions", "GET /v2/models/captioner", "GET /v2/models/captioner/ready", "POST /v2/models/captioner/infer"} {
		if _, ok := answered.Load(op); !ok {
			t.Errorf("%s was never called rightly, so that little of it was probed", op)
		}
	}
	lax := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+token)
			h.ServeHTTP(w, r)
		})
	}
	if found := probe(lax); len(found) == 0 || !strings.Contains(found[0], "dast/missing-authentication") {
		t.Errorf("a server that asks for no token: %q", found)
	}
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}
