package pattern

import "errors"

// toASCII maps one label with non-ASCII characters to its A-label.
func toASCII(string) (string, error) {
	return "", errors.New("this build has no IDNA tables (golang.org/x/text is not in go.mod)")
}
