package pattern

import "golang.org/x/net/idna"

// toASCII maps one label with non-ASCII characters to its A-label. Labels that are
// ASCII already never come here: real names have underscores and "--" where the
// profile forbids them.
func toASCII(label string) (string, error) { return idna.Lookup.ToASCII(label) }
