package warm

import (
	"encoding/binary"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Types and the class of records, RFC 1035 §3.2.2 and RFC 3596 §2.1.
const (
	typeA     = 1
	typeCNAME = 5
	typeAAAA  = 28
	classIN   = 1
)

// splitRecord reads a record in wire form without compression (RFC 1035 §3.2.1). ok is false for those that are
// malformed, of another class, or neither an address nor an alias.
func splitRecord(raw []byte) (name pattern.Name, kind uint16, data []byte, ok bool) {
	end := 0
	for end < len(raw) && raw[end] != 0 {
		end += 1 + int(raw[end])
	}
	end++ // the root's zero byte
	const fixed = 10
	if len(raw) < end+fixed {
		return "", 0, nil, false
	}
	name, err := pattern.FromWire(raw[:end])
	kind = binary.BigEndian.Uint16(raw[end:])
	class := binary.BigEndian.Uint16(raw[end+2:])
	length := int(binary.BigEndian.Uint16(raw[end+8:]))
	data = raw[end+fixed:]
	wanted := kind == typeA && length == 4 || kind == typeAAAA && length == 16 || kind == typeCNAME
	return name, kind, data, err == nil && class == classIN && wanted && len(data) == length
}
