// Package graph reads models that are graphs of operators: ONNX, TensorFlow
// (SavedModel, MetaGraph, frozen GraphDef, checkpoint index, Keras metadata),
// TensorFlow Lite and Core ML, the first two in text form too.
//
// [Formats] is the table. Such a file holds no code, but it names operators
// that the runtime has, and some of those read and write files, call Python or
// need a library that comes beside the model. It also names files that the
// loader opens. So what is judged here are operators, by lists of those that
// are normal, and paths.
//
// Protocol buffers and FlatBuffers are walked by field number, without code
// that was generated and without reading weights: wire.go and flatbuffer.go. Most
// of these files have no magic, so a format takes what reads as its message and
// holds its operators; a file that two loaders would take is judged as both.
// The schemas are onnx.proto (ONNX IR 11), tensorflow/core/{framework,protobuf},
// tflite's schema.fbs (version 3) and coremltools' mlmodel/format.
package graph

import "github.com/apexlogic/apex/internal/model/scan"

// Formats returns the formats of this package, in the order of reports.
func Formats() []scan.Format {
	return []scan.Format{ONNX(), TensorFlow(), Checkpoint(), Fingerprint(), TFLite(), CoreML(), Text()}
}
