package keras

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// conv is a convolution as Keras 3 saves it.
func conv(name string, filters int) string {
	return layer("keras.layers", "Conv2D", fmt.Sprintf(`"name":%q,"trainable":true,"dtype":{"module":"keras","class_name":"DTypePolicy","config":{"name":"float32"},"registered_name":null},"filters":%d,"kernel_size":[3,3],"strides":[1,1],"padding":"same","data_format":"channels_last","activation":"relu","use_bias":true,"kernel_initializer":{"module":"keras.initializers","class_name":"GlorotUniform","config":{"seed":null},"registered_name":null},"bias_initializer":{"module":"keras.initializers","class_name":"Zeros","config":{},"registered_name":null},"kernel_regularizer":{"module":"keras.regularizers","class_name":"L2","config":{"l2":0.0001},"registered_name":null},"kernel_constraint":null`, name, filters), "null")
}

// functional is a model with two branches and a sum, as Keras 3 saves it.
func functional(layers ...string) string {
	tensor := `{"class_name":"__keras_tensor__","config":{"shape":[null,8],"dtype":"float32","keras_history":["in",0,0]}}`
	return `{"module":"keras.src.models.functional","class_name":"Functional","config":{"name":"functional","trainable":true,"layers":[` +
		`{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,8],"dtype":"float32","name":"in"},"registered_name":null,"name":"in","inbound_nodes":[]},` +
		strings.Join(layers, ",") + `,{"module":"keras.layers","class_name":"Add","config":{"name":"add"},"registered_name":null,"name":"add","inbound_nodes":[{"args":[[` + tensor + `,` + tensor + `]],"kwargs":{"mask":null}}]},` +
		`{"module":"keras.src.ops.numpy","class_name":"GetItem","config":{"name":"item"},"registered_name":"GetItem","name":"item","inbound_nodes":[{"args":[` + tensor + `,{"class_name":"__tuple__","items":[{"class_name":"__slice__","config":{"start":null,"stop":null,"step":null}},{"class_name":"__ellipsis__","config":{}}]}],"kwargs":{}}]}` +
		`],"input_layers":[["in",0,0]],"output_layers":[["item",0,0]]},"registered_name":"Functional","build_config":{"input_shape":null}}`
}

// benign are configurations that real models have, and the twins of the bad.
func benign() map[string]string {
	return map[string]string{
		"a convolutional net in Keras 3":            sequential(conv("conv2d", 32), layer("keras.layers", "MaxPooling2D", `"name":"pool","pool_size":[2,2]`, "null"), layer("keras.layers", "Flatten", `"name":"flatten"`, "null")),
		"a convolutional net in Keras 2":            fmt.Sprintf(legacy, dense+`,{"class_name":"Conv2D","config":{"name":"eval_lambda_exec","filters":8,"kernel_size":[3,3],"activation":"relu"}},{"class_name":"BatchNormalization","config":{"axis":[3],"gamma_regularizer":null}}`),
		"branches that are added":                   functional(conv("a", 8), conv("b", 8)),
		"recurrent layers in wrappers":              fmt.Sprintf(legacy, fmt.Sprintf(wrapper, "Bidirectional", `{"class_name":"LSTM","config":{"name":"lstm","units":8}}`)+`,`+fmt.Sprintf(wrapper, "TimeDistributed", dense)),
		"cells that are stacked":                    sequential(layer("keras.layers", "RNN", `"cell":`+layer("keras.layers", "StackedRNNCells", `"cells":[`+layer("keras.layers", "GRUCell", `"units":4`, "null")+`]`, "null"), "null")),
		"a transformer":                             functional(layer("keras.layers", "MultiHeadAttention", `"name":"attention","num_heads":8,"key_dim":64`, "null"), layer("keras.layers", "LayerNormalization", `"epsilon":1e-06`, "null"), layer("keras.layers", "Dense", `"activation":{"module":"keras.activations","class_name":"function","config":"gelu","registered_name":"gelu"}`, "null")),
		"a net of efficiency":                       fmt.Sprintf(legacy, `{"class_name":"Rescaling","config":{"scale":0.00392,"offset":0.0}},{"class_name":"Normalization","config":{"mean":null}},{"class_name":"DepthwiseConv2D","config":{"depthwise_initializer":{"class_name":"VarianceScaling","config":{"scale":2.0,"mode":"fan_out","distribution":"truncated_normal","seed":null}},"activation":"swish"}},{"class_name":"Multiply","config":{}}`),
		"a vocabulary that is in it":                sequential(layer("keras.layers", "TextVectorization", `"name":"text","max_tokens":100,"standardize":"lower_and_strip_punctuation","split":"whitespace","vocabulary":["","[UNK]","the","/etc/passwd","eval","lambda"],"idf_weights":null`, "null"), layer("keras.layers", "StringLookup", `"vocabulary":null,"vocabulary_size":3`, "null")),
		"an empty vocabulary":                       sequential(layer("keras.layers", "StringLookup", `"vocabulary":""`, "null")),
		"a tokenizer with its model in it":          layer("keras_nlp.models", "BertTokenizer", `"vocabulary":null,"proto":"`+inBase64("the model of a tokenizer")+`"`, `"keras_nlp>BertTokenizer"`),
		"a backbone of the hub":                     layer("keras_hub.src.models.bert.bert_backbone", "BertBackbone", `"name":"bert","trainable":true,"num_layers":12`, `"keras_hub>BertBackbone"`),
		"a registered layer of the user":            sequential(layer("my_project.layers", "Attention", `"units":4`, `"my_project>Attention"`)),
		"a registered layer of no package":          sequential(`{"module":null,"class_name":"Custom>Attention","config":{"units":4},"registered_name":"Custom>Attention"}`),
		"a layer of the main program":               sequential(layer("__main__", "Attention", `"units":4`, `"Attention"`)),
		"an unknown layer of Keras 2":               fmt.Sprintf(legacy, `{"class_name":"AttentionLayer","config":{}},{"class_name":"Addons>GELU","config":{}}`),
		"a loss of the user":                        strings.Replace(sequential(dense), `"loss":"binary_crossentropy"`, `"loss":{"module":"builtins","class_name":"function","config":"dice_loss","registered_name":"function"}`, 1),
		"a loss of Keras":                           strings.Replace(sequential(dense), `"loss":"binary_crossentropy"`, `"loss":{"module":"builtins","class_name":"function","config":"mse","registered_name":"function"},"weighted_metrics":[{"module":"keras.losses","class_name":"function","config":"huber","registered_name":"huber"},{"module":"keras.metrics","class_name":"MeanMetricWrapper","config":{"name":"m","fn":{"module":"builtins","class_name":"function","config":"sparse_categorical_accuracy","registered_name":"function"}},"registered_name":null}]`, 1),
		"a schedule":                                strings.Replace(sequential(dense), `"learning_rate":0.001`, `"learning_rate":{"module":"keras.optimizers.schedules","class_name":"ExponentialDecay","config":{"decay_rate":0.9},"registered_name":null}`, 1),
		"a space of features":                       layer("keras.utils", "FeatureSpace", `"crossing_dim":32`, "null"),
		"training_config":                           `{"loss":"categorical_crossentropy","metrics":["accuracy"],"weighted_metrics":null,"optimizer_config":{"class_name":"Adam","config":{"learning_rate":0.001,"decay":0.0}}}`,
		"TensorFlow's operators":                    fmt.Sprintf(legacy, `{"class_name":"TFOpLambda","config":{"function":"math.multiply"}},{"class_name":"TFOpLambda","config":{"function":"__operators__.add"}},{"class_name":"SlicingOpLambda","config":{"function":"__operators__.getitem"}},{"class_name":"TFOpLambda","config":{"function":"cast"}},{"class_name":"TFOpLambda","config":{"function":"compat.v1.shape"}},{"class_name":"TFOpLambda","config":{"function":"image.resize"}},{"class_name":"TFOpLambda","config":{"function":"io.decode_raw"}}`),
		"a node of a graph that computes":           fmt.Sprintf(legacy, `{"class_name":"TensorFlowOpLayer","config":{"node_def":"{\n \"name\": \"ReadFile\",\n \"op\": \"AddV2\"}"}}`),
		"a type specification of TensorFlow":        fmt.Sprintf(legacy, `{"class_name":"__typespec__","spec_name":"TensorSpec","module":"tensorflow.python.framework.tensor_spec","config":[[null,4],"float32"],"registered_name":null}`),
		"numbers that JSON does not have":           sequential(layer("keras.layers", "Masking", `"mask_value":NaN,"low":-Infinity,"high":Infinity`, "null")),
		"the module of TensorFlow 2.12":             layer("keras.engine.functional", "Functional", `"name":"m","layers":[`+layer("keras.layers.core.dense", "Dense", `"units":3`, "null")+`]`, `"Functional"`),
		"Keras 2 beside Keras 3":                    layer("tf_keras.src.engine.sequential", "Sequential", `"layers":[]`, "null"),
		"Keras in TensorFlow":                       layer("tensorflow.keras.layers", "Dense", `"units":3`, "null"),
		"mixed precision":                           sequential(layer("keras.layers", "Dense", `"dtype":{"module":"keras.mixed_precision","class_name":"Policy","config":{"name":"mixed_float16"},"registered_name":null}`, "null")),
		"preprocessing that Keras brings":           sequential(layer("keras.layers.preprocessing", "RandomFlip", `"mode":"horizontal"`, "null"), function("keras.applications.resnet50", "preprocess_input", "preprocess_input")),
		"layers whose names sound bad":              fmt.Sprintf(legacy, `{"class_name":"Dense","config":{"name":"lambda","module":"os"}},{"class_name":"Dense","config":{"name":"exec_eval_system"}}`),
		"an array that is a constant":               sequential(layer("keras.layers", "Normalization", `"mean":{"class_name":"__numpy__","config":{"value":[0.5,0.25],"dtype":"float32"}},"variance":{"class_name":"__tensor__","config":{"value":[1.0],"dtype":"float32"}}`, "null")),
		"a text that begins as code in base64 does": sequential(layer("keras.layers", "Dense", `"name":"4wheels_and_some_more_text"`, "null")),
		"a layer of the hub of TensorFlow":          fmt.Sprintf(legacy, `{"class_name":"KerasLayer","config":{"name":"k","handle":"https://tfhub.dev/google/x/1"}}`),
		"a dictionary in order":                     sequential(layer("collections", "OrderedDict", `"a":1`, "null")),
	}
}

func TestConfigurationsOfRealModelsAreClean(t *testing.T) {
	for name, text := range benign() {
		t.Run(name, func(t *testing.T) {
			res, _ := examineText(t, text)
			if res.Verdict != scan.Clean || !slices.Contains(res.Formats, "keras") {
				t.Errorf("got %s %v", said(res), res.Findings)
			}
		})
	}
}

func TestEveryRuleIsListedOnceAndTested(t *testing.T) {
	seen := map[string]bool{}
	for _, rule := range Format().Rules {
		if seen[rule.ID] || rule.Why == "" || rule.Mend == "" || !strings.HasPrefix(rule.ID, "keras.") {
			t.Errorf("%+v", rule)
		}
		seen[rule.ID] = true
	}
	var said strings.Builder
	for _, name := range []string{"keras_test.go", "benign_test.go"} {
		b, err := os.ReadFile(filepath.Join(".", name))
		if err != nil {
			t.Fatal(err)
		}
		said.Write(b)
	}
	for id := range seen {
		if id != "keras.hub" && !strings.Contains(said.String(), id) {
			t.Errorf("no test says %s", id)
		}
	}
	res, _ := examineText(t, benign()["a layer of the hub of TensorFlow"])
	if len(res.Findings) != 1 || res.Findings[0].Rule != "keras.hub" {
		t.Errorf("%v", res.Findings)
	}
}
