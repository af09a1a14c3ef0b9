# SPDX-License-Identifier: MIT
# storm MODE FAMILY PORT STOP NAME...: see storm.c. MODE: tcp, udp, by bash's own /dev/tcp and /dev/udp, which take
# no family: the names have addresses of one only.
mode=$1 port=$3 stop=$4
shift 4
names=("$@")
declare -A counts

talk() {
	if [[ $mode == udp ]]; then
		printf x >&3
		read -r -t 0.3 -N 1 -u 3 line
	else
		read -r -t 1 -u 3 line
	fi && echo ok || echo timeout
}

for ((i = 0; ; i++)); do
	[[ ! -e $stop ]] || break
	why=$( (talk 3<>"/dev/$mode/${names[i % ${#names[@]}]}/$port") 2>&1)
	end=${why##*: }
	counts[$end]=$((${counts[$end]:-0} + 1))
done
for end in "${!counts[@]}"; do
	echo "${counts[$end]} $end"
done
