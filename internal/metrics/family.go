package metrics

import "slices"

// Prefix begins the name of every metric.
const Prefix = "domain_route_"

// Kind is a metric's type, as Prometheus calls it.
type Kind string

// The kinds there are.
const (
	Gauge   Kind = "gauge"
	Counter Kind = "counter"
)

// Family is what all series of one metric have in common.
type Family struct {
	Name   string // without Prefix
	Kind   Kind
	Help   string
	Labels []string
}

// Families are all there are; docs/metrics.md lists them in the same order.
var Families = []Family{
	{"up", Gauge, "Whether domain-route is started (1) or not (0).", nil},
	{"state", Gauge, "1 for the state that it is in, 0 for the others.", []string{"state"}},
	{"info", Gauge, "Versions of the loaded programs, of their layout and of the command; always 1.", []string{"version", "layout", "command_version"}},
	{"start_time_seconds", Gauge, "When it was started, in seconds since 1970.", nil},
	{"warnings", Gauge, "How many warnings domain-route status prints.", nil},
	{"history_enabled", Gauge, "Whether names without a rule are kept.", nil},
	{"audit_enabled", Gauge, "Whether connections that were not steered are looked at for names with a rule.", nil},
	{"configuration_readable", Gauge, "Whether the configuration can be read; 1 if there is none.", nil},
	{"configuration_differs", Gauge, "Whether the running rules or settings are other than the configuration's.", nil},
	{"rules", Gauge, "Rules in force.", nil},
	{"target_rules", Gauge, "Rules in force by target.", []string{"target"}},
	{"rules_hit", Gauge, "Rules in force that decided at least one connection.", nil},
	{"rule_hits_total", Counter, "Connections and first datagrams that a rule decided; pattern (others): the sum of those that have no series.",
		[]string{"pattern", "condition", "target"}},
	{"target_hits_total", Counter, "Connections and first datagrams that the rules in force of a target decided.", []string{"target"}},
	{"hits_lost_total", Counter, "Connections that a rule decided and that were not counted for it: too many rules have hits.", nil},
	{"verdicts_total", Counter, "Connects and unconnected datagrams by what became of them.", []string{"verdict"}},
	{"datagrams_sent_again_total", Counter, "Datagrams refused once, by which their socket was bound or marked.", nil},
	{"datagrams_dropped_total", Counter, "Datagrams dropped since another thread had their socket bound at that moment.", nil},
	{"source_address_probes_total", Counter, "Datagram sockets that resolvers connected to see their source address.", nil},
	{"conflicts_total", Counter, "Connections whose address has names with different targets.", nil},
	{"questions_total", Counter, "Questions to name servers by what became of them.", []string{"result"}},
	{"answers_total", Counter, "Answers of name servers that were asked for, are well formed, and have addresses.", nil},
	{"answers_refused_total", Counter, "Answers of name servers that taught nothing, by why.", []string{"reason"}},
	{"answers_cut_total", Counter, "Answers of name servers of which not all was read, by why.", []string{"reason"}},
	{"records_skipped_total", Counter, "Records of answers that were skipped: bad ones, and refused addresses.", []string{"reason"}},
	{"learnt_total", Counter, "Addresses learnt under names with a rule (yes) and without (no).", []string{"ruled"}},
	{"learnt_dropped_total", Counter, "Addresses that were not kept, by why.", []string{"reason"}},
	{"libc_calls_total", Counter, "Calls of getaddrinfo and gethostbyname by what was learnt from them.", []string{"result"}},
	{"libc_calls_cut_total", Counter, "Calls of getaddrinfo and gethostbyname that gave more addresses than are read.", nil},
	{"audit_total", Counter, "What the audit of connections that were not steered found.", []string{"result"}},
	{"events_lost_total", Counter, "Events that a watch or top did not read fast enough to be told of.", nil},
	{"other_total", Counter, "Counters of the kernel's that have no metric of their own.", []string{"counter"}},
	{"last_leak_time_seconds", Gauge, "When a connection was last seen that was not steered although its name has a rule, in seconds since 1970.", nil},
	{"learnt_addresses", Gauge, "Addresses for which a name is known.", nil},
	{"learnt_names", Gauge, "Names known for addresses, by whom they count for.", []string{"level"}},
	{"learnt_conflicts", Gauge, "Addresses, by whom their names count for, whose names lead to different targets.", nil},
	{"map_entries", Gauge, "Entries of the kernel's maps.", []string{"map"}},
	{"map_capacity", Gauge, "How many entries the kernel's maps have room for.", []string{"map"}},
	{"interface_exists", Gauge, "Whether an interface that rules lead to exists.", []string{"interface"}},
	{"interface_up", Gauge, "Whether an interface that rules lead to exists, is up and has a link.", []string{"interface"}},
	{"interface_addresses", Gauge, "Addresses of an interface that rules lead to, without link-local ones.", []string{"interface", "family"}},
	{"interface_rules", Gauge, "Rules whose target names an interface.", []string{"interface"}},
	{"kernel_memory_bytes", Gauge, "Kernel memory of all maps.", nil},
}

// FamilyOf finds a family by its name without Prefix.
func FamilyOf(name string) (Family, bool) {
	i := slices.IndexFunc(Families, func(f Family) bool { return f.Name == name })
	if i < 0 {
		return Family{}, false
	}
	return Families[i], true
}
