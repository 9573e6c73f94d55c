package stream

import "sync"

// Method says what the messages of a method of gRPC hold.
type Method struct{ in, out message }

// Inference returns the methods of the Open Inference Protocol over gRPC, by
// their paths. Those that load and unload models are not among them.
//
// Source: kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto,
// and ModelStreamInfer of Triton's grpc_service.proto.
var Inference = sync.OnceValue(func() map[string]*Method {
	parameter := message{
		1: {name: "bool_param"}, 2: {name: "int64_param"}, 3: {name: "string_param", is: ofControl}, 4: {name: "double_param", is: ofDouble}, 5: {name: "uint64_param"},
	}
	parameters := field{name: "parameters", is: ofPart, many: true, of: message{1: {name: "key", is: ofParameter}, 2: {name: "value", is: ofPart, of: parameter}}}
	contents := message{
		1: {name: "bool_contents", is: ofVarints, many: true, datatypes: "BOOL"},
		2: {name: "int_contents", is: ofVarints, many: true, datatypes: "INT8 INT16 INT32"},
		3: {name: "int64_contents", is: ofVarints, many: true, datatypes: "INT64"},
		4: {name: "uint_contents", is: ofVarints, many: true, datatypes: "UINT8 UINT16 UINT32"},
		5: {name: "uint64_contents", is: ofVarints, many: true, datatypes: "UINT64"},
		6: {name: "fp32_contents", is: ofFixed32, many: true, datatypes: "FP32"},
		7: {name: "fp64_contents", is: ofFixed64, many: true, datatypes: "FP64"},
		8: {name: "bytes_contents", is: ofBytes, many: true, datatypes: "BYTES"},
	}
	tensor := message{
		1: {name: "name", is: ofControl}, 2: {name: "datatype", is: ofDatatype}, 3: {name: "shape", is: ofShape, many: true},
		4: parameters, 5: {name: "contents", is: ofPart, of: contents},
	}
	request := message{
		1: {name: "model_name", is: ofModel}, 2: {name: "model_version", is: ofVersion}, 3: {name: "id", is: ofControl}, 4: parameters,
		5: {name: "inputs", is: ofTensor, many: true, of: tensor},
		6: {name: "outputs", is: ofPart, many: true, of: message{1: {name: "name", is: ofControl}, 2: parameters}},
		7: {name: "raw_input_contents", is: ofRaw, many: true},
	}
	answer := message{
		1: {name: "model_name", is: ofControl}, 2: {name: "model_version", is: ofControl}, 3: {name: "id", is: ofControl}, 4: parameters,
		5: {name: "outputs", is: ofTensor, many: true, of: tensor},
		6: {name: "raw_output_contents", is: ofRaw, many: true},
	}
	model := message{1: {name: "name", is: ofModel}, 2: {name: "version", is: ofControl}}
	described := message{1: {name: "name", is: ofControl}, 2: {name: "datatype", is: ofControl}, 3: {name: "shape", is: ofShape, many: true}}
	yes := func(name string) message { return message{1: {name: name}} }
	const service = "/inference.GRPCInferenceService/"
	return map[string]*Method{
		service + "ServerLive":  {message{}, yes("live")},
		service + "ServerReady": {message{}, yes("ready")},
		service + "ModelReady":  {model, yes("ready")},
		service + "ServerMetadata": {message{}, message{
			1: {name: "name", is: ofControl}, 2: {name: "version", is: ofControl}, 3: {name: "extensions", is: ofControl, many: true},
		}},
		service + "ModelMetadata": {model, message{
			1: {name: "name", is: ofControl}, 2: {name: "versions", is: ofControl, many: true}, 3: {name: "platform", is: ofControl},
			4: {name: "inputs", is: ofPart, many: true, of: described}, 5: {name: "outputs", is: ofPart, many: true, of: described},
			6: {name: "properties", is: ofPart, many: true, of: message{1: {name: "key", is: ofControl}, 2: {name: "value", is: ofControl}}},
		}},
		service + "ModelInfer":       {request, answer},
		service + "ModelStreamInfer": {request, message{1: {name: "error_message", is: ofText}, 2: {name: "infer_response", is: ofPart, of: answer}}},
	}
})
