package ruleio

import (
	"encoding/json"
	"reflect"
)

// object is a JSON Schema, or a part of one.
type object map[string]any

// described is a type that says itself what its schema is, as value reads it itself.
type described interface{ schema() object }

// Schema returns the JSON Schema (draft 2020-12) of a configuration file, for editors. It is made of the types that
// Parse fills, and says all of their rules that a schema can say.
func Schema() ([]byte, error) {
	root := schemaOf(reflect.TypeFor[document]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "domain-route configuration"
	root["type"] = []string{"object", "null"} // an empty file says nothing
	text, err := json.MarshalIndent(root, "", "  ")
	return append(text, '\n'), err
}

// schemaOf returns the schema of a type that the decoder fills.
func schemaOf(t reflect.Type) object {
	if own, ok := reflect.Zero(t).Interface().(described); ok {
		return own.schema()
	}
	switch t.Kind() {
	case reflect.Struct:
		return schemaOfStruct(t)
	case reflect.Map:
		key := reflect.Zero(t.Key()).Interface().(described)
		return object{"type": []string{"object", "null"}, "propertyNames": key.schema(), "additionalProperties": schemaOf(t.Elem())}
	}
	return object{"type": []string{"array", "null"}, "items": schemaOf(t.Elem())}
}

func schemaOfStruct(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, s := range fieldsOf(t) {
		one := schemaOf(s.typ)
		one["description"] = s.doc
		if s.least > 0 {
			one["type"], one["minItems"] = "array", s.least
		}
		if s.most > 0 {
			one["maxItems"] = s.most
		}
		properties[s.key] = one
		if s.need {
			required = append(required, s.key)
		}
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// textOf is the schema of a text of which more is known: it matches a pattern, in what Go and ECMA have in common.
func textOf(pattern string) object { return object{"type": "string", "pattern": pattern} }

// anyText is the schema of any text: not empty, no control characters.
func anyText() object { return textOf(`^[^\x00-\x1f\x7f-\x9f]+$`) }

func (observer) schema() object      { return textOf("^(sockets|libc|tc|tc:[^,]+(,[^,]+)*)$") }
func (directory) schema() object     { return textOf("^/") }
func (cgroupPath) schema() object    { return anyText() }
func (filePath) schema() object      { return anyText() }
func (categoryWord) schema() object  { return anyText() }
func (interfaceName) schema() object { return anyText() }
func (patternItem) schema() object   { return anyText() }
func (attribute) schema() object     { return textOf(`^!?[^\s!][^\s]*$`) }
func (formatWord) schema() object    { return object{"enum": formats} }
func (matchWord) schema() object     { return object{"enum": []string{"suffix", "exact"}} }
func (elseWord) schema() object      { return object{"enum": []string{"block", "direct"}} }

func (yesNo) schema() object {
	return object{"enum": []any{true, false, "yes", "no", "true", "false"}}
}

func (markNumber) schema() object {
	return object{"type": "integer", "minimum": 1, "maximum": 1<<32 - 1}
}

func (userWord) schema() object {
	return object{"anyOf": []object{{"type": "integer", "minimum": 0, "maximum": 1<<32 - 2}, anyText()}}
}

func (targetName) schema() object {
	o := textOf("^[A-Za-z_][A-Za-z0-9_.-]*$")
	o["maxLength"] = maxTargetName
	words := ""
	for _, w := range reserved {
		words += "|"
		for _, c := range w {
			words += "[" + string(c) + string(c-'a'+'A') + "]"
		}
	}
	o["not"] = object{"pattern": "^(" + words[1:] + ")$"}
	return o
}

func (patterns) schema() object {
	one := patternItem{}.schema()
	return object{"anyOf": []object{one, {"type": "array", "minItems": 1, "items": one}}}
}

func (removal) schema() object {
	return object{"anyOf": []object{patternItem{}.schema(), schemaOfStruct(reflect.TypeFor[removal]())}}
}

func (outcome) schema() object {
	form := schemaOfStruct(reflect.TypeFor[targetForm]())
	form["oneOf"] = []object{
		{"required": []string{"chain"}, "not": object{"required": []string{"mark"}}},
		{"required": []string{"mark"}, "maxProperties": 1},
	}
	return object{"anyOf": []object{anyText(), form}}
}

// schema adds to the keys which of them go with which format.
func (listItem) schema() object {
	o := schemaOfStruct(reflect.TypeFor[listItem]())
	when := func(format, then object) object {
		return object{"if": object{"required": []string{"format"}, "properties": object{"format": format}}, "then": then}
	}
	need := func(key string) object { return object{"required": []string{key}} }
	not := func(o object) object { return object{"not": o} }
	plain, geosite := object{"const": "plain"}, object{"const": "geosite"}
	o["allOf"] = []object{
		when(plain, need("match")),
		when(not(plain), not(need("match"))),
		when(geosite, need("category")),
		when(not(geosite), not(need("category"))),
		when(not(object{"enum": []string{"v2fly", "geosite"}}), object{"properties": object{"attributes": object{"maxItems": 0}}}),
	}
	return o
}
