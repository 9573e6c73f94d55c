// Package tiny is the captioner's model: a picture of 16 by 16 points in, what
// it shows out ("a red circle"). It is small enough to read and to train in a
// second, and real: its weights are in safetensors and it infers from them.
//
// Start with [Load] and [Model.Caption]; [Sample] draws the pictures that it was
// trained on. A Model is safe for concurrent use.
package tiny

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// The shape of the network: one hidden layer.
const (
	Side   = 16
	Input  = Side * Side * 3
	Hidden = 48
)

var (
	colours = []string{"red", "green", "blue", "yellow"}
	shapes  = []string{"circle", "square", "cross"}
)

// Labels are the captions, in the order of the network's outputs.
func Labels() []string {
	var all []string
	for _, c := range colours {
		for _, s := range shapes {
			all = append(all, "a "+c+" "+s)
		}
	}
	return all
}

// Model is the network's weights, row by row.
type Model struct {
	W1, B1, W2, B2 []float32
}

// tensors lists the weights in the order of the file.
func (m *Model) tensors() []struct {
	name  string
	shape []int
	data  *[]float32
} {
	n := len(Labels())
	return []struct {
		name  string
		shape []int
		data  *[]float32
	}{
		{"hidden.weight", []int{Hidden, Input}, &m.W1}, {"hidden.bias", []int{Hidden}, &m.B1},
		{"output.weight", []int{n, Hidden}, &m.W2}, {"output.bias", []int{n}, &m.B2},
	}
}

// Safetensors writes the weights.
func (m *Model) Safetensors() ([]byte, error) {
	header := map[string]any{"__metadata__": map[string]string{"format": "pt", "license": "Apache-2.0"}}
	var data []byte
	for _, t := range m.tensors() {
		begin := len(data)
		for _, v := range *t.data {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
		header[t.name] = map[string]any{"dtype": "F32", "shape": t.shape, "data_offsets": []int{begin, len(data)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(out, text...), data...), nil
}

// Load reads the weights.
func Load(file []byte) (*Model, error) {
	if len(file) < 8 {
		return nil, errors.New("the file is no safetensors")
	}
	n := binary.LittleEndian.Uint64(file)
	if n > uint64(len(file)-8) {
		return nil, errors.New("the header is longer than the file")
	}
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(file[8:8+n], &header); err != nil {
		return nil, err
	}
	data := file[8+n:]
	m := &Model{}
	for _, t := range m.tensors() {
		size := 4
		for _, d := range t.shape {
			size *= d
		}
		at := header[t.name].Offsets
		if at[0] < 0 || at[1] > len(data) || at[1]-at[0] != size {
			return nil, fmt.Errorf("the tensor %s is not there with its shape", t.name)
		}
		for i := at[0]; i < at[1]; i += 4 {
			*t.data = append(*t.data, math.Float32frombits(binary.LittleEndian.Uint32(data[i:])))
		}
	}
	return m, nil
}

// Forward returns the hidden values and the probability of each label.
// picture holds Input values from 0 to 1; the network sees them from -1 to 1.
func (m *Model) Forward(picture []float32) (hidden, probability []float32) {
	hidden = layer(m.W1, m.B1, Centred(picture))
	for i := range hidden {
		hidden[i] = max(hidden[i], 0)
	}
	probability = layer(m.W2, m.B2, hidden)
	top := probability[0]
	for _, v := range probability {
		top = max(top, v)
	}
	var sum float32
	for i, v := range probability {
		probability[i] = float32(math.Exp(float64(v - top)))
		sum += probability[i]
	}
	for i := range probability {
		probability[i] /= sum
	}
	return hidden, probability
}

// Centred is the picture as the network sees it.
func Centred(picture []float32) []float32 {
	out := make([]float32, len(picture))
	for i, v := range picture {
		out[i] = 2*v - 1
	}
	return out
}

func layer(weights, bias, in []float32) []float32 {
	out := make([]float32, len(bias))
	for i := range out {
		sum := bias[i]
		row := weights[i*len(in) : (i+1)*len(in)]
		for j, v := range in {
			sum += row[j] * v
		}
		out[i] = sum
	}
	return out
}

// Caption says what the picture shows, and how sure the model is (0 to 1).
func (m *Model) Caption(picture []float32) (string, float32) {
	_, p := m.Forward(picture)
	best := 0
	for i := range p {
		if p[i] > p[best] {
			best = i
		}
	}
	return Labels()[best], p[best]
}

// Sample draws a picture of the label, somewhere, with noise.
func Sample(r *rand.Rand, label int) []float32 {
	colour := [][3]float32{{.9, .1, .1}, {.1, .8, .2}, {.15, .2, .9}, {.9, .85, .1}}[label/len(shapes)]
	picture := make([]float32, Input)
	ground := .35 + .3*r.Float32()
	size := 3.5 + 2*r.Float64()
	x0, y0 := 8+3*(r.Float64()-.5), 8+3*(r.Float64()-.5)
	for y := range Side {
		for x := range Side {
			dx, dy := float64(x)-x0, float64(y)-y0
			inside := false
			switch label % len(shapes) {
			case 0:
				inside = dx*dx+dy*dy < size*size
			case 1:
				inside = math.Abs(dx) < size*.9 && math.Abs(dy) < size*.9
			case 2:
				inside = (math.Abs(dx) < 1.3 || math.Abs(dy) < 1.3) && math.Abs(dx) < size+1 && math.Abs(dy) < size+1
			}
			for c := range 3 {
				v := ground
				if inside {
					v = colour[c]
				}
				picture[(y*Side+x)*3+c] = min(max(v+float32(r.NormFloat64())*.06, 0), 1)
			}
		}
	}
	return picture
}
