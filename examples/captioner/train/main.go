// Command train trains the captioner's model on pictures that it draws itself
// and writes its weights. The same program gives the same weights on every
// machine of one kind of processor.
package main

import (
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"

	"github.com/apexlogic/apex/examples/captioner/tiny"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: train FILE.safetensors")
	}
	m := train(rand.New(rand.NewPCG(7, 7)))
	data, err := m.Safetensors()
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[1], data, 0o644); err != nil {
		log.Fatal(err)
	}
}

// train runs stochastic gradient descent with a falling rate.
func train(r *rand.Rand) *tiny.Model {
	labels := len(tiny.Labels())
	m := &tiny.Model{W1: random(r, tiny.Hidden, tiny.Input), B1: make([]float32, tiny.Hidden), W2: random(r, labels, tiny.Hidden), B2: make([]float32, labels)}
	const steps = 160_000
	right := 0
	for step := range steps {
		rate := float32(0.01 * (1 - .95*float64(step)/steps))
		label := r.IntN(labels)
		picture := tiny.Sample(r, label)
		hidden, p := m.Forward(picture)
		seen := tiny.Centred(picture)
		best := 0
		for i := range p {
			if p[i] > p[best] {
				best = i
			}
		}
		if best == label {
			right++
		}
		if (step+1)%40_000 == 0 {
			fmt.Printf("step %d: %.1f %% right\n", step+1, float64(right)/400)
			right = 0
		}
		p[label]-- // the gradient of the cross entropy
		back := make([]float32, tiny.Hidden)
		for i, g := range p {
			for j, h := range hidden {
				back[j] += g * m.W2[i*tiny.Hidden+j]
				m.W2[i*tiny.Hidden+j] -= rate * g * h
			}
			m.B2[i] -= rate * g
		}
		for j, g := range back {
			if hidden[j] == 0 {
				continue
			}
			row := m.W1[j*tiny.Input : (j+1)*tiny.Input]
			for k, v := range seen {
				row[k] -= rate * g * v
			}
			m.B1[j] -= rate * g
		}
	}
	return m
}

func random(r *rand.Rand, rows, columns int) []float32 {
	w := make([]float32, rows*columns)
	for i := range w {
		w[i] = float32(r.NormFloat64() * math.Sqrt(2/float64(columns)))
	}
	return w
}
