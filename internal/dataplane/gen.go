package dataplane

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -no-global-types -type state -type ruleset -type target -type scope -type learnt -type learnt_set -type name -type hint -type counter -type steered -type hit -type watcher -type event -type leak -type leak_list learn ../../bpf/learn.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../../bpf -I../../bpf/headers
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -no-global-types steer ../../bpf/steer.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../../bpf -I../../bpf/headers
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -no-global-types steerLater ../../bpf/steer.bpf.c -- -DLATER_KERNEL -O2 -g -Wall -Werror -mcpu=v3 -I../../bpf -I../../bpf/headers
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -no-global-types chores ../../bpf/chores.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../../bpf -I../../bpf/headers
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -no-global-types libc ../../bpf/libc.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../../bpf -I../../bpf/headers
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -no-global-types audit ../../bpf/audit.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I../../bpf -I../../bpf/headers
