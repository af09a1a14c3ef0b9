package dataplane

import (
	"net/netip"
	"time"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Leak is a connection that was not steered although its SNI has a rule.
type Leak struct {
	When     time.Time
	Name     pattern.Name
	Address  netip.Addr
	Port     uint16
	PID, UID uint32
	Comm     string
	Ruled    bool
	Rule     ruleset.Rule
}

// Leaks are the last of them, the latest first, at most 64.
func (s *System) Leaks() ([]Leak, error) { return nil, nil }
