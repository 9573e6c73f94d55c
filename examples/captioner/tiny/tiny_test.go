package tiny

import (
	"math/rand/v2"
	"os"
	"testing"
)

func TestTheModelSaysWhatPicturesShow(t *testing.T) {
	file, err := os.ReadFile("../model/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2026, 11)) // not the training's
	labels, right := Labels(), 0
	const pictures = 1200
	for i := range pictures {
		label := i % len(labels)
		if got, _ := m.Caption(Sample(r, label)); got == labels[label] {
			right++
		}
	}
	if right < pictures*95/100 {
		t.Errorf("%d of %d pictures have the right caption", right, pictures)
	}
}

func TestBrokenWeightsAreRefused(t *testing.T) {
	file, err := os.ReadFile("../model/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"nothing": nil, "a cut header": file[:100], "cut weights": file[:len(file)-4]} {
		if _, err := Load(bad); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}
