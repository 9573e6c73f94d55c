package server

import (
	"net/http"
	"slices"

	"github.com/apexlogic/apex/examples/captioner/tiny"
)

// maxBatch is how many pictures one request may hold.
const maxBatch = 64

type tensor struct {
	Name     string    `json:"name"`
	Shape    []int     `json:"shape"`
	Datatype string    `json:"datatype"`
	Data     []float32 `json:"data"`
}

func (s *server) metadata(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"name": ModelName, "versions": []string{"1"}, "platform": "apex-tiny",
		"inputs":  []any{map[string]any{"name": "picture", "datatype": "FP32", "shape": []int{-1, tiny.Side, tiny.Side, 3}}},
		"outputs": []any{map[string]any{"name": "caption", "datatype": "BYTES", "shape": []int{-1}}, map[string]any{"name": "probability", "datatype": "FP32", "shape": []int{-1, len(tiny.Labels())}}},
	})
}

// infer answers a batch of pictures, each of 16 by 16 points with three values from 0 to 1.
func (s *server) infer(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		ID     string   `json:"id"`
		Inputs []tensor `json:"inputs"`
	}
	if !read(w, r, &ask) {
		return
	}
	if len(ask.ID) > 64 {
		refuse(w, http.StatusBadRequest, "id has more than 64 bytes")
		return
	}
	if len(ask.Inputs) != 1 || ask.Inputs[0].Name != "picture" || ask.Inputs[0].Datatype != "FP32" {
		refuse(w, http.StatusBadRequest, "inputs has to hold one tensor: picture, FP32")
		return
	}
	in := ask.Inputs[0]
	if len(in.Shape) != 4 || in.Shape[0] < 1 || in.Shape[0] > maxBatch || !slices.Equal(in.Shape[1:], []int{tiny.Side, tiny.Side, 3}) || len(in.Data) != in.Shape[0]*tiny.Input {
		refuse(w, http.StatusBadRequest, "picture has the shape [1 to 64, 16, 16, 3], and data as many values")
		return
	}
	if slices.ContainsFunc(in.Data, func(v float32) bool { return !(v >= 0 && v <= 1) }) {
		refuse(w, http.StatusBadRequest, "values are from 0 to 1")
		return
	}
	var captions []string
	var probabilities []float32
	for picture := range slices.Chunk(in.Data, tiny.Input) {
		_, p := s.model.Forward(picture)
		captions = append(captions, tiny.Labels()[slices.Index(p, slices.Max(p))])
		probabilities = append(probabilities, p...)
	}
	answer(w, http.StatusOK, map[string]any{
		"model_name": ModelName, "model_version": "1", "id": ask.ID,
		"outputs": []any{
			map[string]any{"name": "caption", "datatype": "BYTES", "shape": []int{len(captions)}, "data": captions},
			map[string]any{"name": "probability", "datatype": "FP32", "shape": []int{len(captions), len(tiny.Labels())}, "data": probabilities},
		},
	})
}
