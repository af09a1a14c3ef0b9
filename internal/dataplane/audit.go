package dataplane

import "sync/atomic"

func (s *System) audit() bool { return s.state.Audit != 0 }

// setAudit says whether connections that were not steered are looked at. What was found stays.
func (s *System) setAudit(on bool) {
	s.state.Audit = 0
	if on {
		s.state.Audit = 1
	}
	atomic.StoreUint64(&s.shared().Audit, s.state.Audit)
}
