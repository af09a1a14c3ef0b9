package ruleio

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write docs/config.schema.json")

const committed = "../../docs/config.schema.json"

// The schema that editors get is that of the types.
func TestSchemaCommitted(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(committed, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(committed)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/config.schema.json is not up to date (%v); run: go test ./internal/ruleio -run TestSchemaCommitted -update", err)
	}
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verdict is what the schema says of a document; ok is false if it cannot be asked, since the text is no YAML that
// JSON can say.
func verdict(t *testing.T, s *jsonschema.Schema, text string) (ok bool, err error) {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return false, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return false, nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return true, s.Validate(doc)
}

// The schema takes what Parse takes, and refuses what it refuses, if a schema can say why.
func TestSchemaVerdicts(t *testing.T) {
	s := compiledSchema(t)
	for _, text := range good {
		if ok, err := verdict(t, s, text); err != nil || !ok {
			t.Errorf("%q: taken by Parse, and by the schema: %v", text, err)
		}
	}
	agreed := 0
	for _, tt := range bad {
		ok, err := verdict(t, s, tt.text)
		switch {
		case !ok && !tt.beyond:
			t.Errorf("%q: the schema cannot be asked", tt.text)
		case ok && tt.beyond == (err != nil):
			t.Errorf("%q: beyond the schema is %v, and it says %v", tt.text, tt.beyond, err)
		case ok && !tt.beyond:
			agreed++
		}
	}
	if agreed < 50 {
		t.Errorf("only %d documents refused by both", agreed)
	}
}
