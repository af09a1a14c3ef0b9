package dataplane

// watchersAll is WATCHERS_ALL in bpf/abi.h.
const watchersAll = 8
