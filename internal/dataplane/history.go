package dataplane

func (s *System) history() bool { return s.state.History != 0 }

// keepHistory says whether names without a rule are kept from now on. If not, those that are there are forgotten, also
// when it was no before: that may have been cut short.
func (s *System) keepHistory(keep bool) error {
	if keep {
		s.setHistory(1)
		return nil
	}
	s.setHistory(0)
	// Whoever still learns by the former word is done after this.
	if err := s.waitForPrograms(); err != nil {
		return err
	}
	set, err := s.Rules()
	if err != nil {
		return err
	}
	return s.forgetUnruled(set)
}
