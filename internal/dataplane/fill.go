package dataplane

// Fill is how full a map is.
type Fill struct {
	Map          string
	Entries, Max int
	LRU          bool // full: the least lately used goes
}

// Fill tells how full the maps are that can be.
func (s *System) Fill() ([]Fill, error) { return nil, nil }
