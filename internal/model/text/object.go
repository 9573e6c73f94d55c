package text

import (
	"slices"
	"strconv"

	"github.com/apexlogic/apex/internal/model/scan"
)

// kindOf a value in a document.
type kindOf uint8

const (
	isNull kindOf = iota
	isBool
	isNumber
	isText
	isList
	isObject
)

// field is a value, with its key where it stands in an object.
type field struct {
	key    string
	kind   kindOf
	text   string // of text; of numbers and booleans as they are written
	list   []field
	object *object
}

// object holds the fields of an object that shapes look at: all of them in a
// document of usual size, those that [isKey] names in a huge one.
type object struct {
	fields []field
	names  int  // of keys in all
	root   bool // of the document
}

// get returns the last value of a key, which is the one that Python sees.
func (o *object) get(key string) field {
	for i := len(o.fields) - 1; i >= 0; i-- {
		if o.fields[i].key == key {
			return o.fields[i]
		}
	}
	return field{}
}

// text returns the value of a key where it is text.
func (o *object) text(key string) string {
	if f := o.get(key); f.kind == isText {
		return f.text
	}
	return ""
}

func (o *object) has(key string) bool {
	return slices.ContainsFunc(o.fields, func(f field) bool { return f.key == key })
}

// texts returns a text, the texts of a list, or those of an object's values.
func (f field) texts() []string {
	switch f.kind {
	case isText:
		return []string{f.text}
	case isList:
		var out []string
		for _, item := range f.list {
			out = append(out, item.texts()...)
		}
		return out
	case isObject:
		var out []string
		for _, item := range f.object.fields {
			out = append(out, item.texts()...)
		}
		return out
	}
	return nil
}

// document is one document while it is walked.
type document struct {
	place    *scan.Place
	path     []byte
	language string // "json", "yaml" or "toml"
	as       string // the name of the format, once a shape has said it
}

// at is the place of the present value.
func (d *document) at() scan.Where {
	if len(d.path) == 0 {
		return scan.Nowhere
	}
	return scan.Path(string(d.path))
}

// push adds a key or an index to the path and returns the length to go back to.
func (d *document) push(key string, index int) int {
	n := len(d.path)
	switch {
	case n > 1024: // deep down the whole path helps nobody
	case index >= 0:
		d.path = append(d.path, '[')
		d.path = strconv.AppendInt(d.path, int64(index), 10)
		d.path = append(d.path, ']')
	default:
		if n > 0 {
			d.path = append(d.path, '.')
		}
		d.path = append(d.path, key[:min(len(key), 80)]...)
	}
	return n
}

// name says what the document is; the first shape to say so is believed.
func (d *document) name(as string) {
	if d.as == "" {
		d.as = as
		d.place.As(as)
	}
}

// shapes are what objects are looked at for, in the order of reports.
func shapes() []func(*document, *object) error {
	return []func(*document, *object) error{chatTemplate, remoteCode, adapter, diffusers, sentenceModules, sentenceNames, hydraTarget, skopsNode, mlflow, describe}
}

// check hands an object to every shape.
func (d *document) check(o *object) error {
	for _, shape := range shapes() {
		if err := shape(d, o); err != nil {
			return err
		}
	}
	return nil
}

// isKey says whether some shape looks at the key. In a huge document only
// these are kept, so that memory does not grow with vocabularies.
func isKey(key string) bool {
	switch key {
	case "chat_template", "template", "name", "auto_map", "custom_pipelines", "trust_remote_code", "architectures", "model_type",
		"_name_or_path", "license", "base_model", "base_model_name_or_path", "auto_mapping", "base_model_class", "parent_library", "peft_type",
		"_class_name", "_diffusers_version", "_target_", "_args_", "_partial_", "_recursive_", "path", "type", "idx", "class_path", "init_args",
		"target", "params", "tokenizer_class", "processor_class", "added_tokens", "model", "__class__", "__module__", "__loader__", "func",
		"obj", "flavors", "loader_module", "code", "library_name", "tags", "datasets", "version", "impl", "custom_generate", "_skops_version",
		"image_processor_type", "feature_extractor_type", "transformers_version", "backbone", "head", "activation", "download", "names", "pipeline_tag",
		":serialized:", "activation_fn", "activation_function", "sbert_ce_default_activation_function", "types", "structure":
		return true
	}
	return false
}
