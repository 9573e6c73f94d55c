package lock

import "encoding/json"

// object is a JSON object whose keys are what they are: encoding/json would take
// "Version" for the field "version" of a struct, which no reader of these files does.
type object map[string]json.RawMessage

// text returns the member's text, "" when it has none.
func (o object) text(key string) string {
	var s string
	if json.Unmarshal(o[key], &s) != nil {
		return ""
	}
	return s
}

// is says whether the member is true.
func (o object) is(key string) bool { return string(o[key]) == "true" }

// object returns the member as an object, nil when it is none.
func (o object) object(key string) object {
	var out object
	if json.Unmarshal(o[key], &out) != nil {
		return nil
	}
	return out
}

// texts returns the member's list of texts.
func (o object) texts(key string) []string {
	var out []string
	if json.Unmarshal(o[key], &out) != nil {
		return nil
	}
	return out
}

// objects returns the member's list of objects; what else is in it is nil.
func (o object) objects(key string) ([]object, error) {
	if len(o[key]) == 0 {
		return nil, nil
	}
	var out []object
	err := json.Unmarshal(o[key], &out)
	return out, err
}
