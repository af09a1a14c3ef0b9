package dataplane

// What is learnt is spread over several maps, so that floods of one kind leave the other kinds alone: bpf/maps.h. The
// order of evidenceMaps is that of enum chore_map in bpf/chores.h.
var (
	evidenceMaps = []string{
		learnMapUsersRuled, learnMapUsersPlain, learnMapHostRuled, learnMapHostPlain, learnMapCrowdRuled, learnMapCrowdPlain,
	}
	usersMaps = []string{learnMapUsersRuled, learnMapUsersPlain, learnMapCrowdRuled, learnMapCrowdPlain}
	ruledMaps = []string{learnMapUsersRuled, learnMapHostRuled, learnMapCrowdRuled}
	plainMaps = []string{learnMapUsersPlain, learnMapHostPlain, learnMapCrowdPlain}
	// A name's text may be in several; that of names_ruled is the last.
	nameMaps = []string{learnMapNamesPlain, learnMapCrowdNames, learnMapNamesRuled}
)
