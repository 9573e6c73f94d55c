package body

import "sync"

// OpenInference returns the places of an inference request of the Open
// Inference Protocol (KServe v2), as JSON and with binary tensors.
//
// Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md,
// and the extensions of Triton for binary tensor data and for shared memory.
var OpenInference = sync.OnceValue(func() *API {
	api := newAPI("openinference", []row{
		{pointer: "/id"},
		{pointer: "/model_name", is: model},
		{pointer: "/parameters"},
		{pointer: "/inputs/*", is: tensor},
		{pointer: "/inputs/*/name"},
		{pointer: "/inputs/*/shape", is: shape},
		{pointer: "/inputs/*/datatype", is: datatype},
		{pointer: "/inputs/*/data", is: values},
		{pointer: "/inputs/*/parameters/binary_data_size", is: binaryData},
		{pointer: "/inputs/*/parameters/shared_memory_region", is: outside},
		{pointer: "/outputs/*/parameters/shared_memory_region", is: outside},
		{pointer: "/outputs/*/name"},
	})
	api.types = []string{"application/json", "application/octet-stream"}
	return api
})
