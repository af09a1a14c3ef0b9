package metrics

import "strings"

// Group is under which heading status shows a counter.
type Group string

// The groups, in the order in which status shows them.
const (
	Connections Group = "connections"
	Refused     Group = "refused"
	Answers     Group = "answers"
	NotTaken    Group = "not taken"
	Libc        Group = "C library"
	Audit       Group = "audit"
	Other       Group = "other"
)

// Groups are all groups, in order.
var Groups = []Group{Connections, Refused, Answers, NotTaken, Libc, Audit, Other}

// Place is where a counter of the kernel's is told: the metric, without its prefix, the label's value in it if it has a
// label, and the group of status.
type Place struct {
	Metric string
	Value  string
	Group  Group
}

// verdicts are the counters of connect and unconnected datagrams, each of which counts in exactly one.
var verdicts = map[string]Group{
	"unknown": Connections, "no_rule": Connections, "steered": Connections, "steered_by_address": Connections,
	"steered_by_default": Connections, "direct": Connections, "marked": Connections, "chain_direct": Connections,
	"kept": Connections, "kept_old": Connections, "left_bound": Connections, "left_marked": Connections,
	"left_foreign": Connections, "left_local": Connections, "left_own": Connections,
	"blocked": Refused, "no_interface": Refused, "rebind_refused": Refused, "bind_failed": Refused, "shared_socket": Refused,
}

// places are those of the other counters that have no family by their first word.
var places = map[string]Place{
	// Not beside the verdicts: what these count has a verdict, too, or gets one when it is sent again.
	"send_again":           {"datagrams_sent_again_total", "", Other},
	"straggler":            {"datagrams_dropped_total", "", Other},
	"probe":                {"source_address_probes_total", "", Other},
	"conflict":             {"conflicts_total", "", Other},
	"questions":            {"questions_total", "noted", Answers},
	"question_repeated":    {"questions_total", "repeated", Answers},
	"asker_no_memory":      {"questions_total", "no_memory", NotTaken},
	"answers":              {"answers_total", "", Answers},
	"answer_cut_bytes":     {"answers_cut_total", "bytes", NotTaken},
	"answer_cut_records":   {"answers_cut_total", "records", NotTaken},
	"answer_cut_segment":   {"answers_cut_total", "segment", NotTaken},
	"answer_cut_messages":  {"answers_cut_total", "messages", NotTaken},
	"answer_cut_addresses": {"answers_cut_total", "addresses", NotTaken},
	"record_bad":           {"records_skipped_total", "bad", NotTaken},
	"address_refused":      {"records_skipped_total", "address", NotTaken},
	"learnt":               {"learnt_total", "yes", Answers},
	"learnt_no_rule":       {"learnt_total", "no", Answers},
	"not_kept":             {"learnt_dropped_total", "no_history", Answers},
	"learnt_lost":          {"learnt_dropped_total", "no_room", NotTaken},
	"libc_answers":         {"libc_calls_total", "learnt", Libc},
	"libc_cut":             {"libc_calls_cut_total", "", Libc},
	"event_lost":           {"events_lost_total", "", Other},
	"hit_lost":             {"hits_lost_total", "", Other},
}

// families are those of counters by the beginning of their names.
var families = []struct{ prefix, metric string }{
	{"question_", "questions_total"},
	{"answer_", "answers_refused_total"},
	{"libc_", "libc_calls_total"},
	{"leak_", "audit_total"},
	{"audit_", "audit_total"},
}

// PlaceOf finds where a counter is told. A counter that nobody thought of is told as such, and not forgotten.
func PlaceOf(counter string) Place {
	if group, ok := verdicts[counter]; ok {
		return Place{"verdicts_total", counter, group}
	}
	if p, ok := places[counter]; ok {
		return p
	}
	for _, f := range families {
		if rest, ok := strings.CutPrefix(counter, f.prefix); ok {
			return Place{f.metric, rest, groupOf(f.metric)}
		}
	}
	return Place{"other_total", counter, Other}
}

func groupOf(metric string) Group {
	switch metric {
	case "libc_calls_total":
		return Libc
	case "audit_total":
		return Audit
	}
	return NotTaken
}
