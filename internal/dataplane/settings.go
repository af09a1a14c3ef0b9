package dataplane

// Settings are what start was told, as it runs.
type Settings struct {
	Observers []string // as Observers.Strings names them
	Cgroup    string
	History   bool
	Audit     bool
}

// Settings reads how the system runs. Away from home, observed interfaces are not to be seen.
func (s *System) Settings(present []Device) (Settings, error) {
	if !s.AtHome() {
		present = nil
	}
	o, err := s.observers(present)
	return Settings{o.Strings(), s.cgroup(), s.history(), s.audit()}, err
}
