package listformat

// add counts what another report skipped.
func (r *Report) add(s Skipped) {
	for i := range r.Skipped {
		if t := &r.Skipped[i]; t.Kind == s.Kind {
			t.Count += s.Count
			t.Lines = append(t.Lines, s.Lines[:min(len(s.Lines), maxLines-len(t.Lines))]...)
			return
		}
	}
	r.Skipped = append(r.Skipped, s)
}
