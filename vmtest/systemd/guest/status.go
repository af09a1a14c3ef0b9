package main

import "encoding/json"

// attached tells whether status says that a C library is observed.
func attached(status, path string) bool {
	var envelope struct {
		Data struct {
			Libraries []struct {
				Path     string
				Attached bool
			}
		}
	}
	if json.Unmarshal([]byte(status), &envelope) != nil {
		return false
	}
	for _, l := range envelope.Data.Libraries {
		if l.Path == path && l.Attached {
			return true
		}
	}
	return false
}
