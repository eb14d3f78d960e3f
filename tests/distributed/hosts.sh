#!/bin/bash
# hosts.sh FOLDER COMMAND...: runs COMMAND as root where 10.77.0.1 and 10.77.0.2 are hosts host1 and host2: network
# namespaces of this machine with names of their own, joined by a bridge. mpirun reaches them by the agent FOLDER/agent:
#   mpirun --mca plm_rsh_agent FOLDER/agent --host 10.77.0.1,10.77.0.2 …
# LINK_RATE=1gbit in the environment: what each host sends a second at most.
# All of it is in namespaces of the command, and ends with it.
set -e
if [ "$1" != inside ]; then
  exec unshare --net --mount --fork --kill-child "$0" inside "$@"
fi
shift
folder=$1; shift
mkdir -p "$folder"
mount -t tmpfs none /run  # where ip keeps the names of network namespaces
ip link set lo up
ip link add bridge type bridge
ip address add 10.77.0.254/24 dev bridge
ip link set bridge up
for n in 1 2; do
  ip netns add host$n
  ip link add to$n type veth peer name net0 netns host$n
  ip link set to$n master bridge up
  ip -n host$n link set lo up
  ip -n host$n address add 10.77.0.$n/24 dev net0
  ip -n host$n link set net0 up
  [ -z "${LINK_RATE:-}" ] || ip netns exec host$n tc qdisc add dev net0 root tbf rate "$LINK_RATE" burst 2mb latency 50ms
done
cat >"$folder/agent" <<'AGENT'
#!/bin/bash
# As ssh: ADDRESS COMMAND LINE
n=${1##*.}; shift
exec ip netns exec host$n unshare --uts sh -c "hostname host$n; $*"
AGENT
chmod +x "$folder/agent"
"$@"
