package graph

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

func mlModel(num protowire.Number, what pb) pb {
	description := pb{}.msg(1, pb{}.str(1, "image")).msg(10, pb{}.str(1, "label")).
		msg(100, pb{}.str(3, "somebody").str(4, "Apache-2.0").entry(100, "com.github.apple.coremltools.version", "7.0"))
	return pb{}.num(1, 5).msg(2, description).msg(num, what)
}

func mlLayer(num protowire.Number, params pb) pb {
	return pb{}.msg(1, pb{}.str(1, "custom").str(2, "in").str(3, "out").msg(num, params))
}

func mlLink(name, search string) pb {
	return pb{}.msg(1, pb{}.msg(1, pb{}.str(1, name)).msg(2, pb{}.str(1, search)))
}

// mlProgram is a program of one function with one block of operations.
func mlProgram(operations ...pb) pb {
	block := pb{}.str(2, "y").msg(3, operations...)
	function := pb{}.str(2, "CoreML5").entry(3, "CoreML5", string(block))
	return pb{}.num(1, 1).entry(2, "main", string(function))
}

func mlOperation(op string, attributes ...pb) pb {
	o := pb{}.str(1, op)
	for _, a := range attributes {
		o = o.entry(5, "val", string(a))
	}
	return o
}

func mlBlob(name string) pb { return pb{}.msg(5, pb{}.str(1, name).num(2, 64)) }

func TestCoreML(t *testing.T) {
	const custom, escape, clean = "suspicious coreml.custom", "malicious coreml.path.escape", "clean"
	class := pb{}.str(10, "EvilLayer")
	program := func(operations ...pb) pb { return mlModel(modelProgram, mlProgram(operations...)) }
	list := func(v pb) pb { return pb{}.msg(3, pb{}.msg(3, pb{}.msg(1, v))) }
	for name, c := range map[string]struct {
		content pb
		want    string
	}{
		"a custom model":                    {mlModel(modelCustom, class), custom},
		"a custom layer":                    {mlModel(modelNetwork, mlLayer(layerCustom, class)), custom},
		"a custom layer of a classifier":    {mlModel(modelNetworkClassifier, mlLayer(layerCustom, class)), custom},
		"a custom layer in a branch":        {mlModel(modelNetwork, mlLayer(layerBranch, pb{}.msg(2, mlLayer(layerCustom, class)))), custom},
		"a custom layer in a loop":          {mlModel(modelNetwork, mlLayer(layerLoop, pb{}.msg(4, mlLayer(layerCustom, class)))), custom},
		"a custom model in a pipeline":      {mlModel(modelPipeline, pb{}.msg(1, mlModel(modelCustom, class))), custom},
		"one in a pipeline in a classifier": {mlModel(modelPipelineClassifier, pb{}.msg(1, pb{}.msg(1, mlModel(modelCustom, class)))), custom},
		"a custom operation":                {program(mlOperation("custom_layer")), custom},
		"one in a block of another":         {program(pb{}.str(1, "cond").msg(4, pb{}.msg(3, mlOperation("custom_op")))), custom},
		"a linked model above":              {mlModel(modelLinked, mlLink("../x.mlmodelc", "")), escape},
		"a linked model searched for above": {mlModel(modelLinked, mlLink("x.mlmodelc", ".:../..")), escape + " coreml.linked"},
		"a linked model searched for at /":  {mlModel(modelLinked, mlLink("x.mlmodelc", "$BUNDLE_MAIN:/tmp")), escape + " coreml.linked"},
		"a linked model beside":             {mlModel(modelLinked, mlLink("x.mlmodelc", "$BUNDLE_MAIN:.")), "clean coreml.linked"},
		"weights above":                     {program(mlOperation("const", mlBlob("@model_path/../../x"))), escape},
		"weights at an absolute path":       {program(mlOperation("const", mlBlob("/etc/passwd"))), escape},
		"weights above, in a list":          {program(mlOperation("const", list(mlBlob("../x")))), escape},
		"weights above, in an argument": {program(pb{}.str(1, "conv").entry(2, "weight", string(pb{}.msg(1, pb{}.msg(2, mlBlob("../x")))))),
			escape},

		"a network":                     {mlModel(modelNetwork, append(mlLayer(100, pb{}.num(1, 3)), mlLayer(layerLoop, pb{}.msg(4, mlLayer(130, pb{})))...)), clean},
		"a layer that is called custom": {mlModel(modelNetwork, mlLayer(140, pb{}.str(1, "CustomLayer"))), clean},
		"a program":                     {program(mlOperation("const", mlBlob("@model_path/weights/weight.bin")), mlOperation("conv"), mlOperation("relu")), clean},
		"an identity":                   {mlModel(modelIdentity, nil), clean},
		"trees":                         {mlModel(402, pb{}.msg(1, pb{}.num(1, 2))), clean},
		"no type":                       {pb{}.num(1, 5).msg(2, pb{}.str(1, "x")), "unknown"},
		"no version":                    {mlModel(modelNetwork, mlLayer(100, pb{}))[2:], "unknown"},
		"a custom model, then garbage":  {append(mlModel(modelCustom, class), 0xff, 0xff), custom + " coreml.broken"},
		"a network, then garbage":       {append(mlModel(modelNetwork, mlLayer(100, pb{})), 0xff, 0xff), "unscannable coreml.broken"},
		"a network, cut off":            {mlModel(modelNetwork, mlLayer(100, pb{}.str(1, strings.Repeat("w", 900))))[:600], "unscannable coreml.broken"},
	} {
		t.Run(name, func(t *testing.T) { checkOutcome(t, examine(t.Context(), c.content), c.want) })
	}
}

func TestCoreMLTellsItsLicense(t *testing.T) {
	res := examine(t.Context(), mlModel(modelIdentity, nil))
	if len(res.Properties) != 2 || res.Properties[1] != (scan.Property{Key: "license", Value: "Apache-2.0"}) {
		t.Errorf("got %v", res.Properties)
	}
}

func TestCoreMLNestsAsDeepAsItReads(t *testing.T) {
	m := mlModel(modelCustom, pb{}.str(10, "X"))
	for range maxDepth + 2 {
		m = mlModel(modelPipeline, pb{}.msg(1, m))
	}
	checkOutcome(t, examine(t.Context(), m), "unscannable coreml.broken")
}

func FuzzCoreML(f *testing.F) {
	f.Add([]byte(mlModel(modelPipeline, pb{}.msg(1, mlModel(modelNetwork, mlLayer(layerBranch, pb{}.msg(2, mlLayer(layerCustom, pb{}.str(10, "X")))))))))
	f.Add([]byte(mlModel(modelProgram, mlProgram(mlOperation("const", mlBlob("../x")), mlOperation("custom")))))
	f.Add([]byte(mlModel(modelLinked, mlLink("x", "/a:b"))))
	f.Fuzz(func(t *testing.T, b []byte) { checkSane(t, b) })
}
